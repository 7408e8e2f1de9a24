"""What the tests enter of kantor, room by room: reads coverage's JSON, prints a table, and names what no test enters.

A module counts as entered when a line inside one of its functions ran: an import alone runs none. What Numba compiles
and what a GPU runs is not seen. `make coverage` writes the JSON.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any


def main(report: Path) -> None:
    """Print a row for each room, the least covered last; then modules and functions that no test enters."""
    files: dict[str, Any] = json.loads(report.read_text("utf-8"))["files"]
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    strange: dict[str, list[str]] = {}
    for name, file in files.items():
        module = ".".join(Path(name.partition("src/")[2] or name).with_suffix("").parts).removesuffix(".__init__")
        room = rooms[module.rpartition(".")[0] or module]
        room[0] += file["summary"]["covered_lines"]
        room[1] += file["summary"]["num_statements"]
        functions = {key: value["summary"] for key, value in file["functions"].items() if key}
        missed = [
            key for key, summary in functions.items() if summary["num_statements"] and not summary["covered_lines"]
        ]
        if missed:
            strange[module] = ["(no function of it)"] if len(missed) == len(functions) else missed
    print(f"{'room':32}{'statements':>12}{'run by tests':>14}")
    for room, (covered, total) in sorted(rooms.items(), key=lambda item: -item[1][0] / max(item[1][1], 1)):
        print(f"{room:32}{total:>12,}{covered / max(total, 1):>14.1%}")
    covered, total = (sum(room[k] for room in rooms.values()) for k in (0, 1))
    print(f"{'all':32}{total:>12,}{covered / max(total, 1):>14.1%}\n\nEntered by no test:")
    for module, names in sorted(strange.items(), key=lambda item: (item[1][0][0] != "(", item[0])):
        print(f"  {module}: {', '.join(names)}")
    if not strange:
        print("  nothing")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
