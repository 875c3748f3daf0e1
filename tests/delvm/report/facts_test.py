import pytest

from delvm.report.facts import about_facts, data_facts


@pytest.mark.parametrize(("channels", "words"), [(1, "1 channel"), (3, "3 channels")])
def test_images_without_labels_are_told_so(channels, words):
    data = {
        "files": ["photos"], "rows": 60, "columns": [], "left_out": [], "label": None,
        "image": [8, 9, channels],
    }  # fmt: skip
    assert data_facts(data) == {
        "data": f"photos: 60 images of 8 × 9 pixels, {words}",
        "labels": "none; all images are taken as normal",
    }


def test_what_is_about_a_model_is_told_a_value_a_line():
    about = {
        "site": "north",
        "recipe": {"epochs": 30, "model_settings": {"units": [256, 128], "bias": True}},
        "test": {"auroc": 0.98765, "f1": None},
        "runs": [{"seed": 0, "rows": 12000}, {"seed": 1, "rows": []}],
        "lags": list(range(12)),
        "nothing": {},
    }
    assert about_facts(about) == {
        "about site": "north",
        "about recipe epochs": "30",
        "about recipe model_settings units": "256, 128",
        "about recipe model_settings bias": "yes",
        "about test auroc": "0.9877",
        "about test f1": "none",
        "about runs 1 seed": "0",
        "about runs 1 rows": "12,000",
        "about runs 2 seed": "1",
        "about runs 2 rows": "none",
        "about lags": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more",
    }
    assert about_facts({}) == {}
