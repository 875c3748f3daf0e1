"""Check the pinned versions against the advisories of known vulnerabilities.

Needs the network; where the advisories cannot be reached it says so, and is no failure unless
--require is given. Findings that do not concern this project are listed in ACCEPTED, with reasons.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINS = ("constraints.txt", "constraints-beam.txt")

# Identifier of the advisory, and why it does not concern this project.
ACCEPTED: dict[str, str] = {}


def report(pins: str) -> dict[str, Any] | str:
    """What pip-audit finds in a file of pins, or why the advisories cannot be reached.

    Raises:
        RuntimeError: if pip-audit fails for another reason.
    """
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / pins), "--no-deps",
        "--disable-pip", "--timeout", "10", "--progress-spinner", "off", "--format", "json",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    except subprocess.TimeoutExpired:
        return "no answer within four minutes"
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        said = done.stderr.strip().splitlines() or [""]
        if "connect" in done.stderr.lower():
            return said[-1]
        raise RuntimeError(f"pip-audit fails on {pins}: {said[-1]}") from None


def judge(found: dict[str, Any] | str, require: bool = False) -> tuple[bool, list[str]]:
    """Whether the audit passes, and the lines that say why."""
    if isinstance(found, str):
        return not require, [f"audit skipped, the advisories cannot be reached: {found}"]
    packages = found["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return not require, ["audit skipped, the advisories have none of the packages"]
    lines, passes, seen = [], True, set()
    for package in known:
        for finding in package["vulns"]:
            names = {finding["id"], *finding.get("aliases", ())}
            seen |= names
            reason = next((ACCEPTED[name] for name in sorted(names) if name in ACCEPTED), None)
            passes &= reason is not None
            fixed = ", ".join(finding.get("fix_versions", ())) or "no version yet"
            what = f"accepted: {reason}" if reason else f"fixed in {fixed}"
            lines.append(f"{package['name']} {package['version']}: {finding['id']}, {what}")
    lines += [f"{name} is accepted and no longer found" for name in ACCEPTED if name not in seen]
    lines.append(f"{len(known)} of {len(packages)} pinned packages audited")
    return passes, lines


def main() -> int:
    """Audit, say what was found, fail on what nobody has accepted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--require", action="store_true", help="fail where nothing can be found")
    require = parser.parse_args().require
    verdicts = []
    for pins in PINS:
        passes, lines = judge(report(pins), require)
        print(f"{pins}:", *lines, sep="\n  ")
        verdicts.append(passes)
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
