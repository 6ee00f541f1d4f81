"""Study files and overrides that are right, sources, and texts that are no studies (see test_mistakes.py)."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.config.fields import HYPERPARAMETERS
from hpo.config.parsing.load import STUDY_KEYS, bundled_studies, load_study, parse_study
from hpo.config.space import KINDS, Choice, Integer, Log, Uniform
from hpo.config.study import StudySpec
from hpo.config.thresholds import Thresholds
from hpo.errors import StudyFileError, UnknownStudyError, UserError


def mistakes(text: str, *overrides: str) -> list[str]:
    """The mistakes as they are shown, without the file's name."""
    with pytest.raises(StudyFileError) as caught:
        parse_study(textwrap.dedent(text), "s.yaml", overrides)
    return [line.strip().removeprefix("s.yaml:").strip() for line in str(caught.value).splitlines()[1:]]


def study(fixed: str = "", space: str = "", top: str = "") -> str:
    """A study whose ``fixed`` entries stand on line 3 and whose ``space`` entries stand on line 4."""
    return f"study: s\ntrials: 5\nfixed: {{{fixed}}}\nspace: {{{space}}}\n{top}"


def test_reads_a_whole_study() -> None:
    spec = parse_study(
        textwrap.dedent("""\
            study: all-kinds
            seed: 7
            trials: 3
            sampler: random
            checks: off
            fixed:
              dataset: synthetic
              epochs: 1e1
              nesterov: yes
              max_norm: none
              train_images: 60_000
            space:
              lr: {log: [1e-4, 1]}
              dropout: {uniform: [0, 0.5]}
              width: {int: [8, 16]}
              batch_norm: {choice: [none, before]}
              optimizer: {choice: [sgd, adam]}
              momentum: {uniform: [0.8, 0.99], when: {optimizer: sgd}}
              gradient_clip: {choice: [null, 1, 2.5]}
            """),
        "s.yaml",
    )
    assert (spec.study, spec.seed, spec.trials, spec.sampler.name, spec.checks.preset) == (
        "all-kinds", 7, 3, "random", "off",
    )  # fmt: skip
    assert spec.fixed == {
        "dataset": "synthetic", "epochs": 10, "nesterov": True, "max_norm": None, "train_images": 60000,
    }  # fmt: skip
    assert spec.space == {
        "lr": Log(log=(1e-4, 1.0)),
        "dropout": Uniform(uniform=(0.0, 0.5)),
        "width": Integer(int=(8, 16)),
        "batch_norm": Choice(choice=["none", "before"]),
        "optimizer": Choice(choice=["sgd", "adam"]),
        "momentum": Uniform(uniform=(0.8, 0.99), when={"optimizer": "sgd"}),
        "gradient_clip": Choice(choice=[None, 1.0, 2.5]),
    }
    assert spec.configuration({"lr": 0.1}).epochs == 10


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    found = mistakes("""\
        study: s
        trials: none
        fixed:
          dropout: 1.0
          lr: fast
        space:
          lr: {log: [1e-3, 1]}
          width: {uniform: [8, 64]}
        cheks: off
        """)
    assert [int(line.split(":")[0]) for line in found] == [2, 4, 5, 7, 8, 9]


def test_nothing_is_concluded_from_a_value_that_cannot_be_read() -> None:
    assert mistakes(study("epochs: many, warmup_epochs: 50")) == ["3: epochs: 'many' is not a whole number"]
    assert mistakes(study("warmup_epochs: 50", "epochs: {int: [1, x]}")) == [
        "4: epochs: 'x' is not a whole number"
    ]
    assert mistakes(study("optimizer: sdg", "lr: {log: [1e-3, 1], when: {optimizer: adam}}")) == [
        "3: optimizer: 'sdg' is not one of: sgd, adagrad, rmsprop, adam, adamw, muon (did you mean sgd?)"
    ]


def test_conditional_values_are_only_combined_where_they_are_drawn() -> None:
    allowed = "optimizer: {choice: [sgd, adam]}, nesterov: {choice: [true, false], when: {optimizer: sgd}}"
    parse_study(study("momentum: 0.9", allowed), "s.yaml")
    assert mistakes(study("momentum: 0", allowed)) == [
        "4: nesterov: nesterov needs momentum above 0 (the study may draw nesterov true with optimizer sgd)"
    ]
    parse_study(
        study("momentum: 0", allowed.replace("optimizer: sgd", "optimizer: adam")), "s.yaml"
    )  # true only under adam, where momentum is not used


def test_aliases_that_explode_are_refused() -> None:
    lines = ["study: s", "trials: 5", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert mistakes("\n".join(lines)) == [
        "6: more than 10,000 values (with aliases expanded); this is not a study file"
    ]


def test_an_alias_can_be_used() -> None:
    spec = parse_study(
        "study: s\ntrials: 5\nspace:\n  beta1: &b {uniform: [0.8, 0.9]}\n  beta2: *b", "s.yaml"
    )
    assert spec.space["beta1"] == spec.space["beta2"]


class TestOverrides:
    TEXT = study(
        "epochs: 4, momentum: 0.5",
        "lr: {log: [1e-3, 1]}, width: {int: [8, 16]}, optimizer: {choice: [sgd, adam]}, "
        "nesterov: {choice: [true, false], when: {optimizer: sgd}}",
    )

    def test_any_value_can_be_set(self) -> None:
        spec = parse_study(
            self.TEXT,
            "s.yaml",
            [
                "trials=9",
                "seed=3",
                "study=other",
                "checks=off",
                "fixed.epochs=2",
                "lr=0.01",
                "width=32",
                "momentum={uniform: [0.8, 0.9]}",
                "dropout=0.5",
            ],
        )  # fmt: skip
        assert (spec.trials, spec.seed, spec.study, spec.checks.preset) == (9, 3, "other", "off")
        assert spec.fixed == {"epochs": 2, "lr": 0.01, "width": 32, "dropout": 0.5}
        assert list(spec.space) == ["optimizer", "nesterov", "momentum"]

    def test_a_distribution_is_replaced(self) -> None:
        spec = parse_study(self.TEXT, "s.yaml", ["space.lr.uniform=[0.1,0.2]", "width.choice=[8, 64]"])
        assert spec.space["lr"] == Uniform(uniform=(0.1, 0.2))
        assert spec.space["width"] == Choice(choice=[8, 64])

    def test_what_an_override_switches_off_is_not_searched(self) -> None:
        assert "nesterov" not in parse_study(self.TEXT, "s.yaml", ["optimizer=adam"]).space

    def test_what_depends_on_what_was_switched_off_is_not_searched_either(self) -> None:
        text = study(
            space="optimizer: {choice: [sgd, adam]}, nesterov: {choice: [true], when: {optimizer: sgd}}, "
            "momentum: {uniform: [0.5, 0.9], when: {nesterov: true}}"
        )
        assert parse_study(text, "s.yaml", ["optimizer=adam"]).space == {}

    def test_nothing_needs_to_be_left_to_search(self) -> None:
        spec = parse_study(self.TEXT, "s.yaml", ["lr=0.1", "width=8", "optimizer=sgd", "nesterov=no"])
        assert spec.space == {}
        assert spec.fixed["nesterov"] is False

    @pytest.mark.parametrize(
        ("override", "expected"),
        [
            ("epochs=x", "--set epochs=x: epochs: 'x' is not a whole number"),
            ("epochs", "--set epochs: has no = (write key=value, e.g. --set epochs=2)"),
            ("epocs=2", "--set epocs=2: unknown key 'epocs' (did you mean epochs?)"),
            ("fixed.epocs=2",
             "--set fixed.epocs=2: unknown hyperparameter 'epocs' (did you mean epochs?)"),
            ("lr=", "--set lr=: lr: has no value (the default is 0.05)"),
            ("trials=0", "--set trials=0: trials: 0 is below 1, the smallest allowed"),
            ("lr={log: [1, 0.1]}",
             "--set lr={log: [1, 0.1]}: lr: the lower bound 1 is not below the upper bound 0.1 "
             "(log: [0.1, 1])"),
            ("lr={log: [1", "--set lr={log: [1: not readable as YAML: did not find expected ',' or ']' "
             "(close the list with ])"),
            ("warmup_epochs=5", "--set warmup_epochs=5: warmup_epochs: a warm-up of 5 epochs is longer than "
             "the training (4 epochs)"),
            ("lr=\udcff", r"--set lr=\udcff: an unprintable character '\udcff' at column 1"),
        ],
    )  # fmt: skip
    def test_a_mistake_names_the_override(self, override: str, expected: str) -> None:
        assert mistakes(self.TEXT, override) == [expected]

    def test_mistakes_of_the_file_come_first(self) -> None:
        assert mistakes(study("lr: fast"), "epochs=x") == [
            "3: lr: 'fast' is not a number",
            "--set epochs=x: epochs: 'x' is not a whole number",
        ]


class TestSources:
    def test_bundled_studies_are_valid(self) -> None:
        assert {"quickstart", "cifar10_random"} <= set(bundled_studies())
        for name in bundled_studies():
            assert load_study(name).trials > 0

    def test_a_file_wins_over_a_bundled_study(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert load_study("quickstart").study == "quickstart"
        Path("quickstart").write_text("study: mine\ntrials: 1")
        assert load_study("quickstart").study == "mine"

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("quikstart", "there is no study file or bundled study 'quikstart'; did you mean quickstart?"),
            ("no/such.yaml", "there is no file no/such.yaml"),
            ("cifar10-random.yaml", "there is no file cifar10-random.yaml; did you mean cifar10_random?"),
        ],
    )
    def test_an_unknown_study_lists_the_known_ones(self, source: str, message: str) -> None:
        with pytest.raises(UnknownStudyError) as caught:
            load_study(source)
        assert str(caught.value) == f"{message}\n  bundled studies: {', '.join(bundled_studies())}"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"study: s\ntrials: \xff", ":2: is not UTF-8 text (save it as UTF-8)"),
            ("study: s".encode("utf-16"), ": is UTF-16 text (save it as UTF-8)"),
            (b"#" * 1_000_001, ": is larger than 1 MB; study files have a few kilobytes"),
        ],
    )
    def test_a_file_that_is_not_text_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "s.yaml"
        path.write_bytes(content)
        with pytest.raises(StudyFileError) as caught:
            load_study(str(path))
        assert str(caught.value).splitlines()[1:] == [f"  {path}{message}"]

    def test_a_folder_is_refused_with_what_it_holds(self, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").touch()
        with pytest.raises(StudyFileError, match=r"is a folder, not a study file \(it contains mine\.yaml\)"):
            load_study(str(tmp_path))

    def test_a_byte_order_mark_is_read_over(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbfstudy: s\ntrials: 1")
        assert load_study(str(tmp_path / "s.yaml")).study == "s"

    @pytest.mark.parametrize("source", ["", "\0", "x" * 5000, "\udcff"])
    def test_strange_paths_are_user_errors(self, source: str) -> None:
        with pytest.raises(UserError):
            load_study(source)


# --- fuzzing: text that looks like a study, and text that does not ---
_WORDS = st.sampled_from(
    [*HYPERPARAMETERS, *STUDY_KEYS, *KINDS, "fixed", "space", "when", "sgd", "relu", "none", "null", "~",
     "1e-4", "0", "-1", "3", ".inf", ".nan", "true", "off", "&a", "*a", "<<", "!!str", "? ", "- ", "'", '"',
     "{", "}", "[", "]", ",", ":", ": ", "\n", "\n  ", "\n    ", "\t", "#", "|", ">", "---", "%", "@"]
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=5)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


def _as_study(fixed: object, space: object) -> str:
    return f"study: s\ntrials: 2\nfixed: {json.dumps(fixed)}\nspace: {json.dumps(space)}"


@settings(deadline=None, max_examples=150)
@given(
    st.text()
    | st.lists(_WORDS).map("".join)
    | st.builds(
        _as_study,
        st.dictionaries(st.sampled_from([*HYPERPARAMETERS]), _TREES, max_size=4),
        st.dictionaries(
            st.sampled_from([*HYPERPARAMETERS]),
            st.dictionaries(st.sampled_from([*KINDS, "when"]), _TREES, max_size=2),
            max_size=4,
        ),
    ),
    st.lists(st.text() | st.lists(_WORDS, max_size=6).map("".join), max_size=2),
)
def test_nothing_but_user_errors_ever_comes_out(text: str, overrides: list[str]) -> None:
    try:
        spec = parse_study(text, "s.yaml", overrides)
    except UserError as error:
        assert str(error)
    else:
        assert spec.trials >= 1


def test_checks_may_be_a_preset_or_a_mapping_with_thresholds() -> None:
    top = "study: s\ntrials: 1\nspace: {lr: {log: [0.1, 1]}}\n"
    assert parse_study(top + "checks: full", "f").checks == Thresholds(preset="full")
    spec = parse_study(top + "checks: {preset: full, explosion_factor: 4}", "f")
    assert (spec.checks.preset, spec.checks.explosion_factor) == ("full", 4.0)
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec
    assert spec.model_dump(mode="json")["checks"] == {"preset": "full", "explosion_factor": 4.0}


def test_every_mistake_in_the_thresholds_is_reported_with_its_line() -> None:
    text = "study: s\ntrials: 1\nchecks:\n  explosion_facto: 4\n  patience: 2\n  preset: loud\n"
    with pytest.raises(StudyFileError) as caught:
        parse_study(text, "f")
    message = str(caught.value)
    assert "f:4: checks: unknown threshold 'explosion_facto' (did you mean explosion_factor?)" in message
    assert "f:5: patience: 2 is above 1" in message
    assert "f:6: preset: 'loud' is not one of: off, standard, full" in message
