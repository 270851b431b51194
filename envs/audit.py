"""Ask the Python Packaging Advisory Database about every pin of the locks: `make audit`. A report, no gate.

What could not be looked up is distinguished from what is clean: pip-audit by itself calls both "no known
vulnerabilities".
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ENVS = Path(__file__).resolve().parent


def ask(pip_audit: str, lock: Path) -> list[dict[str, Any]]:
    """pip-audit's word on each package of a lock.

    Raises:
        ConnectionError: the service did not answer; carries pip-audit's last line.
    """
    command = [pip_audit, "--requirement", str(lock), "--no-deps", "--disable-pip", "--format", "json"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        lines = done.stderr.strip().splitlines() or ["no answer"]
        raise ConnectionError(lines[-1]) from None
    return found


def report(lock: str, packages: list[dict[str, Any]]) -> str:
    """Lines about one lock: vulnerable packages, then how many were looked up."""
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    lines = [
        f"{lock}: {package['name']} {package['version']}: {flaw['id']}, "
        f"fixed in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in packages
        for flaw in package.get("vulns", [])
    ]
    if len(skipped) == len(packages):
        return f"{lock}: NOT AUDITED, the service knows none of {len(packages)} packages; is it reachable?"
    names = f" (not looked up: {', '.join(skipped)})" if skipped else ""
    known = len(packages) - len(skipped)
    return "\n".join([*lines, f"{lock}: {len(lines)} known vulnerabilities in {known} packages{names}"])


def main(pip_audit: str) -> None:
    """Print the report of every lock."""
    for lock in sorted(ENVS.glob("requirements*.lock")):
        try:
            print(report(lock.name, ask(pip_audit, lock)), flush=True)
        except ConnectionError as error:
            print(f"{lock.name}: NOT AUDITED, the service did not answer: {error}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
