"""The configuration: strict keys, helpful errors, documents that follow the code."""

import json
from pathlib import Path

import pytest
import yaml

from dfmvr.config import configuration, docs
from dfmvr.config.data import SimulateSection
from dfmvr.config.training import LossSection
from dfmvr.errors import ConfigError
from dfmvr.study.methods import OVERRIDES

ROOT = Path(__file__).parents[1]


def test_a_mistyped_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown key 'train.epoch'; did you mean 'epochs'\?"):
        configuration.validate({"train": {"epoch": 3}})


def test_a_mistyped_section_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown key 'trian'; did you mean 'train'\?"):
        configuration.validate({"trian": {}})


def test_a_key_like_no_other_lists_what_there_is():
    with pytest.raises(ConfigError, match=r"unknown key 'train.loss.zzzz'; the keys here are photo, mask"):
        configuration.validate({"train": {"loss": {"zzzz": 1}}})


def test_a_wrong_value_is_named_with_its_key():
    with pytest.raises(ConfigError, match=r"train\.batch_size: .*greater than or equal to 2, found 0"):
        configuration.validate({"train": {"batch_size": 0}})


def test_overrides_win(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("train: {epochs: 3, batch_size: 2}\n")
    train = configuration.load(file, ["train.epochs=5", "train.loss.mask=0"]).train
    assert (train.epochs, train.batch_size, train.loss.mask) == (5, 2, 0)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "\x00"])
def test_a_file_that_is_no_configuration_is_one_error(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml") as error:
        configuration.load(file)
    assert "\n" not in str(error.value)


def test_a_section_survives_json():
    train = configuration.load(None, ["train.network.width=4", "train.learning_rate=0.002"]).train
    assert type(train).model_validate_json(train.as_json()) == train


def test_a_variant_differs_only_in_its_overrides():
    settings = configuration.validate(
        {"train": {"epochs": 3}, "variants": {"a": {"loss": {"landmark_3d": 0}}, "b": {}}}
    )
    a, b = settings.variant("a"), settings.variant("b")
    assert (a.loss.landmark_3d, b.loss.landmark_3d, a.epochs) == (0, 1, 3)
    assert a.model_copy(update={"loss": b.loss}) == b


def test_a_variant_with_a_mistyped_key_is_an_error():
    settings = configuration.validate({"variants": {"a": {"los": {}}}})
    with pytest.raises(ConfigError, match=r"variants\.a: unknown key 'train.los'; did you mean 'loss'\?"):
        settings.variant("a")


@pytest.mark.parametrize("file", sorted(p.name for p in (ROOT / "config").glob("*.yaml")))
def test_shipped_configurations_are_valid(file):
    settings = configuration.load(ROOT / "config" / file)
    for name in settings.variants:
        settings.variant(name)


def test_documents_follow_the_code():
    assert docs.write_docs(ROOT, check=True) == [], "run `make docs`"


def test_every_key_is_described():
    assert [name for name, field in configuration.Config.leaves() if not field.description] == []


def test_no_section_takes_unknown_keys():
    definitions = json.loads(docs.schema())["$defs"].values()
    assert all(d["additionalProperties"] is False for d in definitions if d["type"] == "object")


def test_the_loss_weights_are_the_papers():
    loss = LossSection()
    assert (loss.photo, loss.mask, loss.landmark, loss.landmark_2d, loss.landmark_3d) == (4, 3, 1, 0.02, 1)
    assert (loss.regularisation, loss.identity, loss.expression, loss.texture) == (3e-4, 1, 0.8, 0.017)


def test_the_schema_is_json_that_yaml_reads_alike():
    assert yaml.safe_load(docs.schema()) == json.loads(docs.schema())


def test_another_seed_of_a_variant_differs_by_the_seed_alone():
    settings = configuration.validate({"train": {"seed": 5}})
    first, third = settings.variant("dfmvr_cnn"), settings.variant("dfmvr_cnn_seed2")
    assert (first.seed, third.seed) == (5, 7)
    assert third.model_copy(update={"seed": 5}) == first
    with pytest.raises(ConfigError, match="no variant 'dfmvr_cmn'"):
        settings.variant("dfmvr_cmn_seed2")


def test_every_training_is_tested_by_itself_and_what_needs_none_once():
    tests = {"pixel_face": ["mean_face", "shang_from_left", "own"], "bosphorus": ["dfmvr_multi_pie", "floor"]}
    settings = configuration.validate(
        {"study": {"tests": tests, "seeds": 2}, "variants": {"own": {"data": "multi_pie"}}}
    )
    keys = [(method.key, dataset) for method, dataset in settings.tests_of()]
    shang, own = ("shang_from_left", "shang_seed1_from_left"), ("own", "own_seed1")
    assert keys[:5] == [(key, "pixel_face") for key in ("mean_face", *shang, *own)]
    assert keys[5:] == [(key, "bosphorus") for key in ("dfmvr_multi_pie", "dfmvr_multi_pie_seed1", "floor")]
    assert settings.trained_on() == dict.fromkeys(("shang", "shang_seed1"), "pixel_face") | dict.fromkeys(
        ("own", "own_seed1", "dfmvr_multi_pie", "dfmvr_multi_pie_seed1"), "multi_pie"
    )
    assert [method.key for method, _ in settings.tests_of("table_3")] == ["mean_face", *shang]
    named = configuration.validate(
        {"study": {"tests": {"pixel_face": ["deng", "deng_seed1", "own"]}}, "variants": {"own": {}}}
    )
    assert [method.key for method, _ in named.tests_of("table_1")] == ["deng", "deng_seed1"]


def test_a_list_of_splits_that_lies_elsewhere_is_one_of_the_files_of_its_data_set(tmp_path):
    listed = tmp_path / "s.txt"
    listed.touch()
    settings = configuration.load(None, ["datasets.pixel_face.root=d", f"datasets.pixel_face.split={listed}"])
    assert settings.datasets.files_of("pixel_face") == [Path("d"), listed]
    assert settings.datasets.files_of("pixel_face_ict") == settings.datasets.files_of("bosphorus") == []


def test_a_value_that_is_no_yaml_is_one_line():
    with pytest.raises(ConfigError, match=r"--set train.epochs=\[: expected a value as YAML has it"):
        configuration.load(None, ["train.epochs=["])


def test_variants_given_join_the_built_in_ones():
    settings = configuration.validate({"variants": {"dfmvr_mask_0": {"loss": {"mask": 0.0}}}})
    assert set(settings.variants) == {*OVERRIDES, "dfmvr_mask_0"}


def test_the_workflow_asks_the_configuration_where_data_are_and_how_to_read_them():
    settings = configuration.load(None, ["datasets.bosphorus.root=b", "face_model.folder=f"])
    assert settings.supplied("bosphorus") == [Path("b")]
    assert settings.supplied(settings.face_model.source) == [Path("f")]
    assert settings.supplied("resnet50") == settings.supplied("pixel_face") == []
    for method, places in (("shang", [Path("w")]), ("dfmvr", [])):
        tests = f'study.tests={{"pixel_face": ["{method}"]}}'
        assert configuration.load(None, ["train.shang.imagenet_weights=w", tests]).supplied("resnet50") == places
    roots = [settings.datasets.root_of(name) for name in ("bosphorus", "pixel_face", "pixel_face_ict")]
    assert roots == [Path("b"), None, None]
    assert settings.datasets.layout_of("pixel_face_ict") == "pixel_face"
    authors = configuration.load(None, ["datasets.pixel_face.split=~/s.txt", "datasets.pixel_face.layout=authors"])
    own, second = (json.loads(authors.datasets.reading(name)) for name in ("pixel_face", "pixel_face_ict"))
    assert (own["split"], own["layout"]) == (str(Path("~/s.txt").expanduser()), "authors")
    assert (second["split"], second["layout"]) == ("release", "release")  # as all stand-ins
    assert "url" not in json.loads(settings.datasets.reading("celebamask_hq"))


def test_a_stand_in_feels_no_key_of_another():
    keys = {name: set(json.loads(SimulateSection().for_dataset(name))) for name in ("pixel_face", "pixel_face_ict")}
    assert "bosphorus" not in keys["pixel_face"]
    assert keys["pixel_face_ict"] - keys["pixel_face"] == {"ict_facekit", "ict_test_subjects"}


def test_a_path_at_home_is_told_in_full(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "a.yaml").write_text("datasets: {bosphorus: {root: ~/data}}")
    found = configuration.load(tmp_path / "a.yaml", ["simulate.real_scan=~/scan"])
    assert (found.datasets.bosphorus.root, found.simulate.real_scan) == (tmp_path / "data", tmp_path / "scan")
    assert found.datasets.bosphorus.as_json() == configuration.load(tmp_path / "a.yaml").datasets.bosphorus.as_json()
    with pytest.raises(ConfigError, match=r"bosphorus.root: .*write the path in full, found '~no_such_user/x'"):
        configuration.load(None, ["datasets.bosphorus.root=~no_such_user/x"])
