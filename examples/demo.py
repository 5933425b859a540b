"""Show governor at work: on the example organisation, or on your own bill.

    python examples/demo.py          runs examples/acme
    python examples/demo.py BILL     writes a project for BILL (a file or folder of any format) below out/ and runs it

`make demo` and `make demo BILL=PATH` do the same. Everything is written below out/, nothing beside the bills.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACME = ROOT / "examples/acme/governor.yaml"
AS_OF = "2026-06-05"  # the day on which Acme closes May: it decides which waivers are in force
CLEAN, VIOLATED, COULD_NOT_RUN, INCOMPLETE = 0, 1, 2, 3
MEANING = {
    CLEAN: "nothing to mend",
    VIOLATED: "the run is complete, and there is something to mend",
    COULD_NOT_RUN: "it could not run",
    INCOMPLETE: "something could not be read, so the score is an interval",
}


def main(arguments: list[str]) -> int:
    """Run the demonstration; only what could not run at all is an error."""
    code = _own(Path(arguments[0])) if arguments else _acme()
    print(f"\ngovernor exited with {code}: {MEANING.get(code, 'unexpected')}.")
    return 0 if code in {CLEAN, VIOLATED, INCOMPLETE} else code


def _acme() -> int:
    out = ROOT / "out/demo"
    print("Acme: 13 cost centers, 8 bills, April and May 2026. Who is who: examples/acme/README.md\n")
    code = _governor("run", "-c", str(ACME), "--as-of", AS_OF, "--out", str(out), ledger=out / "ledger")
    if code != COULD_NOT_RUN:
        print(f"\nOpen the reports below {_short(out)} in a browser. Then try:")
        print(f"  export GOVERNOR_LEDGER={_short(out / 'ledger')}")
        print(f"  governor explain core-tags/cost_center -c {_short(ACME)}")
        print(f"  governor journal draft --period 2026-05 -c {_short(ACME)}")
    return code


def _own(bill: Path) -> int:
    """Write a starter project for the bill, once; a second call runs the same project, with whatever was changed."""
    bill = bill.expanduser().resolve()
    if not bill.exists():
        print(f"there is no file or folder {bill}; give the path of a bill")
        return COULD_NOT_RUN
    project = ROOT / "out" / f"demo-{bill.name.split('.')[0]}-{hashlib.sha256(str(bill).encode()).hexdigest()[:6]}"
    if not (project / "governor.yaml").exists():
        if code := _governor("init", str(project), "--bill", str(bill)):
            return code
        print()
    code = _governor("run", "-c", str(project / "governor.yaml"))
    if code != COULD_NOT_RUN:
        print(f"\nYour project is {_short(project)}: fill in its registers and policies, then run it again:")
        print(f"  governor run -c {_short(project / 'governor.yaml')}")
    return code


def _governor(*arguments: str, ledger: Path | None = None) -> int:
    environment = dict(os.environ, GOVERNOR_LEDGER=str(ledger)) if ledger else dict(os.environ)
    path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "governor", *arguments], env=environment, check=False).returncode


def _short(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
