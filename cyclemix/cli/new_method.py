"""``cyclemix new-method``: write a working method file, its block and its test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from cyclemix.config.strict import ConfigError
from cyclemix.config.study import load_methods

METHOD = '''"""{title} (Author et al., VENUE YEAR).

Terms:
    pce   cross-entropy on the scribbles;
    own   what the paper adds (eq. ?); here the mean entropy of the prediction.

Deviations from paper and official code: none known.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy


class {class_name}(Method):
    """What it does, in one sentence."""

    class Config(StrictModel):
        """Defaults of the paper."""

        weight_own: float = Field(0.1, ge=0, description="weight of the own term")

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``own``."""
        logits = net(batch.image)
        log_p = logits.float().log_softmax(dim=1)
        entropy = -(log_p.exp() * log_p).sum(dim=1).mean()
        return {{
            "pce": partial_cross_entropy(logits, batch.target),
            "own": self.config.weight_own * entropy,
        }}
'''

BLOCK = """
{name}:
  method: {name}
  summary: one line for tables
  citation: Author et al., VENUE YEAR
  source: none # or {{repository: owner/name, commit: sha, file: path}}, once read
"""

TEST = '''"""What is particular to {name}: its terms on a few pixels, computed by hand."""

from __future__ import annotations

from math import log

import pytest
import torch

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch


def test_terms_of_equal_logits() -> None:
    """Four classes at equal logits: cross-entropy and entropy are both log 4."""
    net = torch.nn.Conv2d(1, 4, 1)
    torch.nn.init.zeros_(net.weight)
    torch.nn.init.zeros_(net.bias)
    target = torch.full((2, 8, 8), UNLABELLED)
    target[0, 0, 0] = 1
    batch = Batch(torch.zeros(2, 1, 8, 8), target, 0, torch.arange(2))
    terms = methods.create("{name}", {{}}, 4, "test").losses(net, batch, torch.Generator())
    assert {{key: value.item() for key, value in terms.items()}} == {{
        "pce": pytest.approx(log(4)),
        "own": pytest.approx(0.1 * log(4)),
    }}
'''


def write(name: str, root: Path) -> list[Path]:
    """Write ``cyclemix/methods/NAME.py`` and its test, and add its block to ``config/methods.yaml``.

    Args:
        name: file name and label, in lower case with underscores.
        root: the project's folder.

    Returns:
        The files that were written or changed.

    Raises:
        ConfigError: the name is invalid or taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"new-method: expected a name of lower-case letters, digits and underscores, got {name!r}"
        )
    blocks = root / "config" / "methods.yaml"
    if name in load_methods(blocks):
        raise ConfigError(f"new-method: {blocks} has a row {name} already; choose another name")
    made = {
        root / "cyclemix" / "methods" / f"{name}.py": METHOD,
        root / "tests" / "unit" / "methods" / f"test_{name}.py": TEST,
    }
    for path in made:
        if path.exists():
            raise ConfigError(f"new-method: {path} exists already; choose another name")
    words = name.replace("_", " ")
    names = {"name": name, "title": words.capitalize(), "class_name": words.title().replace(" ", "")}
    for path, template in made.items():
        path.write_text(template.format(**names))
    blocks.write_text(blocks.read_text().rstrip("\n") + "\n" + BLOCK.format(**names))
    return [*made, blocks]
