"""Each kind of mistake in a study file, beside its line and the words it is reported in."""
# ruff: noqa: E501 - a row of the table is easier to read on one line

from __future__ import annotations

import pytest

from hpo.errors import StudyFileError
from hpo.spec.load import parse_study


def study(fixed: str = "", space: str = "", top: str = "") -> str:
    """A study whose ``fixed`` entries stand on line 3 and whose ``space`` entries stand on line 4."""
    return f"study: s\ntrials: 5\nfixed: {{{fixed}}}\nspace: {{{space}}}\n{top}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # --- the file as a whole ---
        ("", "is empty (a study needs at least study, trials and space)"),
        ("just words", "1: is not a study (a study file is made of lines like trials: 20)"),
        ("- a\n- b", "1: is not a study (a study file is made of lines like trials: 20)"),
        ("study: s\n\ttrials: 5", "2: not readable as YAML: found a tab character that violates indentation (indent with spaces, not tabs)"),
        ("study: s\ntrials: @5", "2: not readable as YAML: found character that cannot start any token (indent with spaces, not tabs; a text that begins with a special character needs quotes)"),
        (study("lr:"), "3: not readable as YAML: found unexpected ':' (write key: value, with a space after the colon)"),
        ("study: s\ntrials: 5: 6", "2: not readable as YAML: mapping values are not allowed in this context (is the indentation off, or does a text with ': ' lack quotes?)"),
        ("study: s\ntrials: 5\nspace: {lr: {log: [1e-3, 1}}", "3: not readable as YAML: did not find expected ',' or ']' (a list is closed with ])"),
        ("study: s\ntrials: 5\n---\nstudy: t", "3: a second YAML document begins here (---) (one study a file)"),
        ("study: s\ntrials: \x00", r"2: an unprintable character '\x00'"),
        ("study: s\ntrials: !!python/object/apply:os.system [ls]",
         "2: tags such as os.system are not used in study files"),
        ("study: s\ntrials: 5\ntrials: 6", "3: trials: given twice: first on line 2, again here"),
        ("study: s\ntrials: *five", "2: *five refers to nothing: no &five stands above it"),
        ("study: s\ntrials: 5\nfixed: &f {lr: *f}", "3: *f refers to itself"),
        ("study: s\ntrials: 5\n[a]: b", "3: a list or mapping cannot be a key"),
        ("study: s\ntrials: 5\nfixed: " + "[" * 30, "3: more than 20 levels of nesting"),
        # --- keys ---
        ("study: s\ntrials: 5\nobjectve: x", "3: unknown key 'objectve' (did you mean objective?)"),
        ("study: s\ntrials: 5\nepochs: 3",
         "3: unknown key 'epochs' (a hyperparameter belongs under fixed or space)"),
        ("study: s\ntrials: 5\nxyz: 3",
         f"3: unknown key 'xyz' (known: {', '.join(['study', 'seed', 'objective', 'trials', 'sampler'])}, fixed, space, checks)"),
        ("trials: 5", "study: is missing (e.g. study: my-first)"),
        ("study: s", "trials: is missing (e.g. trials: 20)"),
        (study("bach_size: 3"), "3: there is no hyperparameter 'bach_size' (did you mean batch_size?)"),
        (study("learning_rate: 3"), "3: there is no hyperparameter 'learning_rate' (did you mean lr?)"),
        (study("zzzz: 3"), "3: there is no hyperparameter 'zzzz' (all of them: docs/study-files.md)"),
        (study(space="activaton: {choice: [relu]}"),
         "4: there is no hyperparameter 'activaton' (did you mean activation?)"),
        (study("trials: 3"), "3: trials is no hyperparameter (it belongs at the top level of the file)"),
        (study("lr: 0.1", "lr: {log: [1e-3, 1]}"), "4: lr: is both fixed (line 3) and searched (keep one of them)"),
        ("study: s\ntrials: 5\nfixed: 3", "3: fixed: is not a mapping of hyperparameters (e.g. lr: 0.05 below it)"),
        # --- single values ---
        ("study: my study\ntrials: 5", "1: study: 'my study' cannot name a study (letters, digits, '.', '_' and '-', at most 200, beginning with a letter or digit)"),
        ("study: 12\ntrials: 5", '1: study: 12 is not a text (in quotes it would be: "12")'),
        ("study: s\ntrials: 0", "2: trials: 0 is below 1, the smallest allowed"),
        ("study: s\ntrials: many", "2: trials: 'many' is not a whole number"),
        ("study: s\ntrials: 2.5", "2: trials: 2.5 is not a whole number"),
        ("study: s\ntrials: true", "2: trials: true is not a whole number"),
        ("study: s\ntrials:", "2: trials: has no value"),
        (study(top="seed: -1"), "5: seed: -1 is below 0, the smallest allowed"),
        (study(top="seed: 9223372036854775808"), "5: seed: 9223372036854775808 is not below 9.22337e18"),
        (study(top="sampler: random_search"),
         "5: sampler: 'random_search' is not one of: random, grid (did you mean random?)"),
        (study(top="checks: false"), "5: checks: false is not one of: off, standard (did you mean off?)"),
        (study(top="objective: loss"), "5: objective: 'loss' is not val_accuracy"),
        (study("lr: fast"), "3: lr: 'fast' is not a number"),
        (study("lr: [1, 2]"), "3: lr: a list is not a number"),
        (study("lr: {log: [1e-3, 1]}"), "3: lr: a mapping is not a value (a distribution belongs under space)"),
        (study("lr: ~"), "3: lr: has no value (the default is 0.05)"),
        (study("lr: 0"), "3: lr: 0 is not above 0"),
        (study("lr: .inf"), "3: lr: .inf is not a finite number"),
        (study("lr: .nan"), "3: lr: .nan is not a finite number"),
        (study("lr: 1e999"), "3: lr: 1e999 is not a finite number"),
        (study("lr: " + "9" * 399), f"3: lr: {'9' * 50}... (399 characters) is not a finite number"),
        (study("dropout: 1.0"), "3: dropout: 1.0 is not below 1"),
        (study("val_fraction: 0.6"), "3: val_fraction: 0.6 is above 0.5, the largest allowed"),
        (study("width: 0"), "3: width: 0 is below 1, the smallest allowed"),
        (study("epochs: 9223372036854775808"), "3: epochs: 9223372036854775808 is too large"),
        (study("epochs: 1e16"), "3: epochs: 1e16 is too large"),
        (study("width: .inf"), "3: width: .inf is not a whole number"),
        (study("width: .nan"), "3: width: .nan is not a whole number"),
        (study("maxout_pieces: 1"), "3: maxout_pieces: 1 is below 2, the smallest allowed"),
        (study("pca_components: 3073"), "3: pca_components: 3073 is above 3072, the largest allowed"),
        (study("nesterov: maybe"), "3: nesterov: 'maybe' is not true or false"),
        (study("batch_norm: bfore"), "3: batch_norm: 'bfore' is not one of: none, before, after (did you mean before?)"),
        (study("batch_norm: null"), "3: batch_norm: has no value (did you mean none?)"),
        (study("batch_norm: off"), "3: batch_norm: 'off' is not one of: none, before, after (did you mean none?)"),
        (study("model: convent"), "3: model: there is no model 'convent' (did you mean convnet?)"),
        (study("model: unet3"), "3: model: there is no model 'unet3' (bundled: convnet, vgg, resnet, fitnet, mlp; your own: package.module:function)"),
        # --- distributions ---
        (study(space="lr: 0.1"), "4: lr: is not a distribution (a single value belongs under fixed; a searched one is e.g. {log: [1e-4, 1e-1]})"),
        (study(space="lr: {}"), "4: lr: has no distribution (e.g. {log: [1e-4, 1e-1]})"),
        (study(space="lr: {lgo: [1e-3, 1]}"), "4: lr: lgo is not a distribution (did you mean log?)"),
        (study(space="lr: {normal: [0, 1]}"),
         "4: lr: normal is not a distribution (distributions are log, uniform, int, choice)"),
        (study(space="lr: {log: [1e-3, 1], choice: [1]}"), "4: lr: has log and choice; give one distribution"),
        (study(space="lr: {log: 1e-3}"), "4: lr: log needs two numbers (log: [low, high])"),
        (study(space="lr: {log: [1e-3, 1e-2, 1]}"), "4: lr: log needs two numbers (log: [low, high])"),
        (study(space="lr: {log: [0, 1]}"), "4: lr: a log scale cannot begin at 0 (begin above 0, or use uniform)"),
        (study(space="l1: {log: [0.0, 1]}"), "4: l1: a log scale cannot begin at 0.0 (begin above 0, or use uniform)"),
        (study(space="lr: {log: [1, 1e-3]}"),
         "4: lr: the low end 1 is not below the high end 1e-3 (log: [1e-3, 1])"),
        (study(space="width: {int: [8, 8]}"),
         "4: width: the low end 8 is not below the high end 8 (one value belongs under fixed)"),
        (study(space="dropout: {uniform: [0, 1]}"), "4: dropout: 1 is not below 1"),
        (study(space="dropout: {uniform: [low, 0.5]}"), "4: dropout: 'low' is not a number"),
        (study(space="max_norm: {uniform: [null, 3]}"), "4: max_norm: has no value"),
        (study(space="width: {int: [0, 8]}"), "4: width: 0 is below 1, the smallest allowed"),
        (study(space="width: {int: [1.5, 8]}"), "4: width: 1.5 is not a whole number"),
        (study(space="width: {log: [8, 64]}"),
         "4: width: log does not fit a whole number (use int or choice, e.g. {int: [2, 8]})"),
        (study(space="width: {uniform: [8, 64]}"),
         "4: width: uniform does not fit a whole number (use int or choice, e.g. {int: [2, 8]})"),
        (study(space="activation: {int: [1, 2]}"), "4: activation: int does not fit a value from a list (use choice, e.g. {choice: [sigmoid, tanh, lecun_tanh]})"),
        (study(space="nesterov: {uniform: [0, 1]}"), "4: nesterov: uniform does not fit a value that is true or false (use choice, e.g. {choice: [true, false]})"),
        (study(space="activation: {choice: relu}"),
         "4: activation: choice needs a list (e.g. {choice: [sigmoid, tanh, lecun_tanh]})"),
        (study(space="activation: {choice: []}"),
         "4: activation: has nothing to choose from (e.g. {choice: [sigmoid, tanh, lecun_tanh]})"),
        (study(space="batch_norm: {choice: [none, none]}"), "4: batch_norm: none stands in choice more than once"),
        (study(space="batch_norm: {choice: [none, befor]}"),
         "4: batch_norm: 'befor' is not one of: none, before, after (did you mean before?)"),
        # --- when ---
        (study(space="lr: {log: [1e-3, 1], when: sgd}"),
         "4: lr: when needs a mapping (e.g. when: {optimizer: sgd})"),
        (study(space="lr: {log: [1e-3, 1], when: {optimiser: sgd}}"),
         "4: lr: when: there is no hyperparameter 'optimiser' (did you mean optimizer?)"),
        (study(space="lr: {log: [1e-3, 1], when: {optimizer: sdg}}"),
         "4: lr: when: optimizer: 'sdg' is not one of: sgd, adagrad, rmsprop, adam, adamw (did you mean sgd?)"),
        (study(space="beta1: {uniform: [0, 0.9], when: {optimizer: [adam, adamw]}}"),
         "4: beta1: is never drawn: optimizer is never adam or adamw in this study (optimizer is not given, so it is sgd)"),
        (study("optimizer: adagrad", "momentum: {uniform: [0, 0.9], when: {optimizer: sgd}}"),
         "4: momentum: is never drawn: optimizer is never sgd in this study (optimizer is fixed at adagrad)"),
        (study(space="optimizer: {choice: [adam, sgd]}, rms_decay: {uniform: [0, 0.9], when: {optimizer: rmsprop}}"),
         "4: rms_decay: is never drawn: optimizer is never rmsprop in this study (optimizer is drawn from adam, sgd)"),
        (study(space="lr: {log: [1e-3, 1]}, dropout: {uniform: [0, 0.5], when: {lr: 0.1}}"),
         "4: dropout: is never drawn: lr is never 0.1 in this study (lr is drawn from log 1e-3 to 1)"),
        (study(space="batch_norm: {choice: [none, before], when: {activation: relu}}, activation: {choice: [relu, elu], when: {batch_norm: none}}"),
         "4: activation: when goes in a circle: activation → batch_norm → activation"),
        (study(space="batch_norm: {choice: [none, before], when: {batch_norm: none}}"),
         "4: batch_norm: when goes in a circle: batch_norm → batch_norm"),
        # --- contradictions between hyperparameters ---
        (study("warmup_epochs: 5, epochs: 4"),
         "3: warmup_epochs: a warm-up of 5 epochs is longer than the training (4 epochs)"),
        (study("warmup_epochs: 5", "epochs: {int: [3, 9]}"), "4: epochs: a warm-up of 5 epochs is longer than the training (3 epochs) (the study can draw epochs 3)"),
        (study("nesterov: true, momentum: 0"), "3: nesterov: nesterov needs momentum above 0"),
        (study("dataset: folder"), "3: dataset: dataset: folder needs data_root, the folder that holds train/<class>/"),
        (study("model: resnet", "depth: {int: [8, 14]}"), "4: depth: model resnet has no depth 9; use 6n + 2: 8, 14, 20, 26, 32 ... (the study can draw depth 9)"),
        (study("batch_size: 64, train_images: 50"), "3: batch_size: batch_size 64 is larger than train_images 50"),
        # --- grid ---
        (study(space="lr: {log: [1e-3, 1]}", top="sampler: grid"), "4: lr: sampler: grid cannot go through log 1e-3 to 1 (use choice or int, or sampler: random)"),
        (study(space="train_images: {int: [1000, 10000]}, batch_size: {int: [2, 101]}", top="sampler: grid"),
         "4: space: the grid has 900,100 points, more than 100,000 (use sampler: random)"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        parse_study(text, "s.yaml")
    heading, *lines = str(caught.value).splitlines()
    assert heading == "1 mistake in the study s.yaml"
    assert [line.strip().removeprefix("s.yaml:").strip() for line in lines] == [expected]
