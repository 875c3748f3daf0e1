import io

import numpy as np
from rich.console import Console

import delvm_tf as dv
from trainers.progress import TrainingProgress


def test_a_model_is_one_line_with_epochs_and_loss():
    console = Console(width=100, file=io.StringIO())
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn([4]))
    model.adapt(x)
    model.compile("adam")
    with TrainingProgress(console) as progress:
        loss = model.fit(x, epochs=3, verbose=0, callbacks=[progress.callback("ours")])
    (line,) = console.file.getvalue().strip().splitlines()
    assert line.startswith("ours ")
    assert "3/3 epochs" in line
    assert f"loss {loss.history['loss'][-1]:.4g}, reconstruction error " in line
