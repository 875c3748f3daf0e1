import numpy as np

from delvm_tf.plots.figure import save_figure
from trainers.plots.classes import KEPT, plot_class_scores


def test_the_best_methods_are_drawn_with_their_means_over_seeds(tmp_path):
    rng = np.random.default_rng(0)
    table = []
    for seed in (0, 1):
        for number in range(KEPT + 2):
            values = dict(zip(("cat", "dog"), 0.1 * number + rng.uniform(0, 0.01, 2), strict=True))
            mean = np.mean([*values.values()])
            table.append({"method": f"m{number}", "seed": seed, **values, "mean": mean})
    figure = plot_class_scores(table)
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 2]
    drawn = [line for line in lines if not line.get_label().startswith("_")]
    assert [line.get_label()[:2] for line in drawn] == [f"m{k}" for k in range(KEPT + 1, 1, -1)]
    best = [row for row in table if row["method"] == f"m{KEPT + 1}"]
    np.testing.assert_allclose(drawn[0].get_xdata()[1], np.mean([row["dog"] for row in best]))
    assert f"({np.mean([row['mean'] for row in best]):.4f})" in drawn[0].get_label()
    assert save_figure(figure, tmp_path / "classes.png").stat().st_size > 5000
