"""Ask what the nightly visits ETL knows, and change what people may change: python etl COMMAND."""

import ast
import difflib
import pkgutil
import runpy
import signal
import sys
from pathlib import Path

import commands


def first_sentences() -> dict[str, str]:
    """Return every command by its name, with the first sentence of its module; a module that only others import is none."""
    found = {}
    for module in pkgutil.iter_modules(commands.__path__):
        path = Path(commands.__path__[0]) / f"{module.name}.py"
        if not module.ispkg and '__name__ == "__main__"' in (source := path.read_text()):
            words = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
            found[module.name.replace("_", "-")] = words.partition(". ")[0].removesuffix(".") + "."
    return found


def main() -> None:
    """Run the command that is named; end with status 2 if there is none of that name."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Ctrl-C while a command's modules are read: no traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sentences = first_sentences()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in sentences:
        del sys.argv[1]
        runpy.run_module(f"commands.{name.replace('-', '_')}", run_name="__main__", alter_sys=True)
    elif name in ("--help", "-h"):
        listed = "\n".join(f"  {name:16}{sentence}" for name, sentence in sentences.items())
        print(f"usage: python etl COMMAND [--help]\n\n{__doc__}\n\n{listed}")
    else:
        alike = difflib.get_close_matches(name, sentences, 1)
        meant = f"Did you mean {alike[0]}?" if alike else "python etl --help lists them."
        print(f"python etl: there is no command {name!r}. {meant}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
