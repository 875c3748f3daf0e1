"""Draw `docs/howto/tensorboard.png`: train on the bundled heartbeats, and show TensorBoard.

Needs Chromium, as `chromium` or by the name that --browser gives.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

import delvm_tf as dv

PICTURE = Path(__file__).parents[1] / "docs" / "howto" / "tensorboard.png"
SIZE = "1000,1000"  # of the window, in pixels
WAIT = 20_000  # milliseconds by the clock of the page, which only runs while nothing is loaded


def train(log: Path) -> None:
    """A small energy of heartbeats and its log."""
    data = dv.datasets.load("ecg5000", protocol="standard", seed=0)
    keras.utils.set_random_seed(0)
    model = dv.DELVM(dv.networks.ffnn((128, 64)), normalization="center", scale=0.35)
    model.adapt(data.x_train)
    model.compile(keras.optimizers.Adam(1e-3))
    shown = dv.TensorBoard(log, validation=(data.x_test, data.y_test), normal=data.x_train)
    model.fit(
        data.x_train, epochs=30, batch_size=100, verbose=0, validation_data=(data.x_test,),
        callbacks=[shown],
    )  # fmt: skip


@contextmanager
def serving(log: Path) -> Iterator[str]:
    """The address of a TensorBoard of the log."""
    command = [
        sys.executable, "-m", "tensorboard.main", "--logdir", log.name, "--host", "127.0.0.1",
        "--port", "0", "--load_fast", "false",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=log.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout or ())
            yield next(address[0] for address in found if address)
        finally:
            process.kill()


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default="chromium", help="name or path of Chromium")
    parser.add_argument("--output", type=Path, default=PICTURE, help="file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        train(log)
        with serving(log) as address:
            subprocess.run(
                [
                    args.browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                    "--disable-background-networking", "--hide-scrollbars",
                    f"--user-data-dir={folder}/browser", f"--window-size={SIZE}",
                    f"--virtual-time-budget={WAIT}", f"--screenshot={args.output.resolve()}",
                    f"{address}/#images",
                ],
                check=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
