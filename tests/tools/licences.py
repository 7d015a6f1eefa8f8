"""Print the licences of what an SBOM (CycloneDX, JSON) lists, as a table. Fails if it lists nothing."""

import json
import sys
from pathlib import Path
from typing import Any


def licences_of(component: dict[str, Any]) -> str:
    """Return what a package says of its licence, or that it says nothing."""
    said = [
        choice.get("expression") or choice["license"].get("id") or choice["license"]["name"]
        for choice in component.get("licenses", [])
    ]
    return ", ".join(dict.fromkeys(said)) or "not said: look at its files"


def main() -> None:
    """Print the table."""
    components = json.loads(Path(sys.argv[1]).read_text()).get("components")
    if not components:
        sys.exit(f"{sys.argv[1]} lists no package.")
    print("| package | version | licence |\n|---|---|---|")
    for component in components:
        print(f"| {component['name']} | {component['version']} | {licences_of(component)} |")


if __name__ == "__main__":
    main()
