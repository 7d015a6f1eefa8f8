"""Open the tables of the lake. Starts Spark's own SQL shell, which reads statements from the terminal or from stdin."""

import subprocess

from base.settings import Settings
from base.trouble import Status
from runtime.script import run_command
from spark import session

SHELL = {  # settings of the shell: it begins where our tables are, and keeps no tables of its own
    "spark.sql.defaultCatalog": "lake",
    "spark.sql.catalogImplementation": "in-memory",
}


def main(settings: Settings) -> int:
    """Run the shell; return CLUSTER if it fails."""
    session.verify(settings)
    conf = [word for name, value in SHELL.items() for word in ("--conf", f"{name}={value}")]
    with session.properties_file(settings) as path:
        shell = [str(session.spark_home() / "bin" / "spark-sql"), "--properties-file", path, *conf, "--database", "visitas"]
        return Status.CLUSTER if subprocess.run(shell, check=False).returncode else Status.DONE


if __name__ == "__main__":
    run_command("lake-sql", main, Settings)
