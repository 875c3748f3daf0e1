import builtins
import sys

import pytest

from delvm_tf.plots import plot_roc_curves
from delvm_tf.plots.figure import new_figure, save_figure

PNG = b"\x89PNG\r\n\x1a\n"


class Interrupted:
    """A figure whose writing fails halfway, or writes `content`."""

    def __init__(self, content=None):
        self.content = content

    def savefig(self, path, **kwargs):
        path.write_bytes(self.content or PNG)
        if self.content is None:
            raise OSError("no space left on device")


def test_a_figure_has_the_axes_and_size_asked_for():
    figure, axes = new_figure(6.0, 3.0, rows=2, columns=3)
    assert axes.shape == (2, 3)
    assert len(figure.axes) == 6
    assert tuple(figure.get_size_inches()) == (6.0, 3.0)


def test_figures_need_no_display_and_leave_no_global_state(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    pyplot = sys.modules.pop("matplotlib.pyplot", None)
    new_figure()
    assert "matplotlib.pyplot" not in sys.modules
    if pyplot is not None:
        sys.modules["matplotlib.pyplot"] = pyplot


def test_a_saved_figure_is_a_png_and_nothing_else_is_left(tmp_path):
    figure, axes = new_figure()
    axes[0, 0].plot([0, 1], [1, 0])
    path = save_figure(figure, str(tmp_path / "new" / "folder" / "curve.png"))
    assert path == tmp_path / "new" / "folder" / "curve.png"
    assert path.read_bytes().startswith(PNG)
    assert path.stat().st_size > 5_000
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_nothing_and_keeps_the_old_figure(tmp_path):
    path = tmp_path / "curve.png"
    with pytest.raises(OSError, match="no space left"):
        save_figure(Interrupted(), path)
    assert list(tmp_path.iterdir()) == []
    save_figure(Interrupted(PNG + b"old"), path)
    with pytest.raises(OSError, match="no space left"):
        save_figure(Interrupted(), path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == PNG + b"old"


@pytest.mark.parametrize("draw", [new_figure, lambda: plot_roc_curves([0, 1], {"a": [1, 2]})])
def test_missing_matplotlib_is_said_with_the_remedy(monkeypatch, draw):
    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *args, **kwargs)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(
        ImportError, match=r"plots need matplotlib: pip install 'delvm_tf\[plots\]'"
    ):
        draw()


def test_only_our_own_figure_is_replaced(tmp_path):
    path = tmp_path / "a.png"
    other, _ = new_figure(1, 1)
    other.savefig(path)
    theirs = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.png exists, and this program did not write it"):
        save_figure(other, path)
    assert path.read_bytes() == theirs
    save_figure(other, tmp_path / "b.png")
    (tmp_path / "b.png").rename(tmp_path / "c.png")  # what it is, it says itself
    save_figure(other, tmp_path / "c.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "c.png"]


@pytest.mark.parametrize("name", ["curve.pdf", "curve.svg", "curve"])
def test_a_figure_is_no_png_under_the_name_of_something_else(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.png"):
        save_figure(new_figure()[0], tmp_path / name)
    assert list(tmp_path.iterdir()) == []
