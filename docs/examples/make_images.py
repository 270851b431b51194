"""Make a folder of small images with labels and scribbles, to try the project on one's own kind of data.

    python make_images.py FOLDER --cases 8 --classes 3 --seed 0 --new 2

writes NIfTI files: images/, labels/ (dense) and scribbles/, and with --new images without labels in new/.
Each case shows a body with structures of different brightness in it, a few slices, its own voxel size and a
name as scans have them. In the scribbles 0 is what nobody marked, 1, 2, ... are the structures and the next
value is background; in the labels 0 is background. Equal seeds give equal images.
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

NAMES = (
    "IMG-%04d (2)",
    "scan %d",
    "Müller_%d.v2",
    "p%d+contrast",
    "MR %d, axial",
    "série-%d",
    "%d",
    "Case #%d",
)
"""Names as people and scanners give them; the number keeps them apart."""

SHAPE = (5, 60, 72)
"""Slices, rows, columns."""

BODY = 0.35
LEVELS = (
    (1, 1),
    (0.62, 0.62),
    (1, 0.1),
    (0.62, 1),
    (0.62, 0.1),
    (1, 0.55),
    (0.8, 0.3),
    (0.8, 0.8),
    (0.62, 0.35),
)
"""Brightness of each structure's rim and core; outside of the body it is 0."""


def ellipse(middle, radii, angle, grid):
    """Boolean (H,W): inside an ellipse; all in mm."""
    y, x = grid[0] - middle[0], grid[1] - middle[1]
    along = np.cos(angle) * x + np.sin(angle) * y
    across = -np.sin(angle) * x + np.cos(angle) * y
    return (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1


def draw_case(rng, classes):
    """Image, label and scribble (slices, rows, columns), and the voxel size (dz, dy, dx) in mm."""
    spacing = (rng.uniform(6, 8), rng.uniform(1.6, 1.8), rng.uniform(1.35, 1.5))
    depth, height, width = SHAPE
    grid = np.meshgrid(np.arange(height) * spacing[1], np.arange(width) * spacing[2], indexing="ij")
    size = np.array([height * spacing[1], width * spacing[2]])
    centre = size / 2 + rng.uniform(-3, 3, 2)
    turn = rng.uniform(-0.25, 0.25)
    image, label = np.zeros(SHAPE), np.zeros(SHAPE, np.uint8)
    scribble = np.zeros(SHAPE, np.uint8)
    organs = [organ(rng, number, classes, size, turn) for number in range(classes)]
    for z in range(depth):
        taper = 1 - 0.35 * abs(2 * (z + 0.5) / depth - 1)
        image[z][ellipse(centre, 0.46 * size[::-1], turn, grid)] = BODY
        for number, (offset, radii, angle) in enumerate(organs):
            inside = ellipse(centre + offset, radii * taper, angle, grid)
            core = ellipse(centre + offset, 0.55 * radii * taper, angle, grid)
            image[z][inside], image[z][core] = LEVELS[number]
            label[z][inside] = number + 1
        scribble[z] = strokes(rng, label[z], centre, size, classes, grid)
    smooth = np.linspace(-1, 1, height)[:, None] * rng.uniform(-0.1, 0.1)
    image = (image * (1 + smooth) + rng.normal(0, 0.05, SHAPE)) * rng.uniform(400, 900)
    return np.round(np.clip(image, 0, None)).astype(np.int16), label, scribble, spacing


def organ(rng, number, classes, size, turn):
    """Place (row, column) from the body's middle, radii and angle of a structure; they do not overlap."""
    if classes == 1:
        return rng.uniform(-6, 6, 2), np.array([18.0, 13.0]) * rng.uniform(0.85, 1.15), turn
    angle = turn + 2 * np.pi * number / classes + rng.uniform(-0.1, 0.1)
    offset = 0.27 * size * np.array([np.sin(angle), np.cos(angle)])
    room = np.pi * 0.27 * size.min() / classes
    radii = min(room, 13.0) * np.array([0.85, 0.7]) * rng.uniform(0.85, 1.1, 2)
    return offset, radii, angle


def strokes(rng, label, centre, size, classes, grid):
    """(H,W): a line through each structure of a slice; rings as background, in the body and around it."""
    drawn = np.zeros(label.shape, np.uint8)
    for radius in (0.6, 0.5, 0.4, 0.07 if classes > 1 else 0.28):
        outer, inner = (ellipse(centre, part * size[::-1], 0, grid) for part in (radius, radius - 0.018))
        drawn[outer & ~inner & (label == 0)] = classes + 1
    for value in range(1, classes + 1):
        rows, columns = np.nonzero(label == value)
        if rows.size:
            wave = rows.mean() + 1.5 * np.sin(columns / 3 + rng.uniform(0, 6))
            on = np.abs(rows - wave) < 1.0
            keep = np.abs(columns - columns.mean()) < 0.75 * (np.ptp(columns) / 2 + 1)
            drawn[rows[on & keep], columns[on & keep]] = value
    return drawn


def save(path, array, spacing):
    """Write (slices, rows, columns) as NIfTI, whose axes run the other way round."""
    dz, dy, dx = spacing
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array.T, np.diag([-dx, -dy, dz, 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def main():
    """Write the files that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=8, help="labelled and scribbled cases")
    parser.add_argument("--classes", type=int, default=3, choices=range(1, 10), help="structures")
    parser.add_argument("--new", type=int, default=0, help="images without labels, in new/")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for number in range(options.cases + options.new):
        rng = np.random.default_rng([options.seed, number])
        image, label, scribble, spacing = draw_case(rng, options.classes)
        name = NAMES[number % len(NAMES)] % (number + 1) + ".nii.gz"
        labelled = number < options.cases
        save(options.folder / ("images" if labelled else "new") / name, image, spacing)
        if labelled:
            save(options.folder / "labels" / name, label, spacing)
            save(options.folder / "scribbles" / name, scribble, spacing)


if __name__ == "__main__":
    main()
