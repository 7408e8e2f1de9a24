"""Methods as text: what a name, a setting's value and a weight may be."""

import pytest

from kantor.core import trust
from kantor.core.errors import ConfigError
from kantor.objective import Weight
from kantor.study.settings.methods import Method, WrittenTerm, codes_of, parse_methods, written_methods

BOMB = "[&a [1,2],&b [" + "*a," * 99 + "],&c [" + "*b," * 99 + "],[" + "*c," * 99 + "]]"


@pytest.mark.parametrize("value", [BOMB, "[" * 5000, "{a" * 500, "*a", "!!python/object/apply [ls]", "["])
def test_a_value_that_no_person_writes_is_refused_at_once(value):
    with pytest.raises(ConfigError, match="is no value"):
        parse_methods([f"fitnet@a={value}"])


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("4", 4), ("2.5", 2.5)])
def test_values_of_every_day(text, value):
    ((term,),) = (method.terms for method in parse_methods(f"kd@temperature={text}"))
    assert term.recipe is not None and term.recipe.settings == {"temperature": value}
    assert type(term.recipe.settings["temperature"]) is type(value)


def terms(text: str) -> tuple[WrittenTerm, ...]:
    (method,) = written_methods(text)
    return method.terms


@pytest.mark.parametrize(
    ("text", "name", "settings", "weight"),
    [
        ("kd:0.9", "kd", {}, 0.9),
        ("kd:auto", "kd", {}, "auto"),
        ("kd:auto=0.5", "kd", {}, "auto=0.5"),
        ("kd:inf", "kd", {}, float("inf")),
        ("kd@temperature=2:auto", "kd", {"temperature": 2}, "auto"),
        ("unknown:auto", "unknown", {}, "auto"),
        ("unknown:inf", "unknown", {}, float("inf")),
        ("mine:Loss", "mine:Loss", {}, None),
        ("my.own:Loss:3.5", "my.own:Loss", {}, 3.5),
        ("my.own:Loss:auto=0.5", "my.own:Loss", {}, "auto=0.5"),
        ("my.own:Loss@temperature=2:3.5", "my.own:Loss", {"temperature": 2}, 3.5),
        ("my.own:Loss@temperature=2@soft=true", "my.own:Loss", {"temperature": 2, "soft": True}, None),
    ],
)
def test_a_name_is_a_built_in_or_a_path_and_a_weight_follows(text, name, settings, weight):
    (term,) = terms(text)
    assert (term.loss, term.settings, term.weight) == (name, settings, weight)


def test_a_path_among_others_with_stages_and_the_published_weight():
    (method,) = written_methods("task:0.5+my.own:Loss@stages=2@paper+kd:1")
    assert method.task == 0.5
    assert [(term.loss, term.stages, term.weight) for term in method.terms] == [
        ("my.own:Loss", 2, "paper"),
        ("kd", None, 1.0),
    ]


def test_the_folder_of_a_path_is_readable_and_has_no_separators():
    assert Method("my.own:Loss@temperature=2:3.5", 1.0, ()).folder == "my.own=Loss@temperature=2=3.5"


def test_the_code_of_methods_is_known_without_any_import():
    item = {"name": "x", "terms": [{"loss": "my.yaml:Loss", "settings": {"path": "a", "width": 3}}, {"loss": "kd"}]}
    assert codes_of(["kd:auto+sp:1", "no.such:Loss@tag=a@width=3+no.such:Other", item]) == [
        "no.such:Loss@tag=a",
        "no.such:Other",
        "my.yaml:Loss@path=a",
    ]
    assert codes_of("kd@@:") == []


def test_a_loss_of_ones_own_is_weighed_as_a_built_in_is(write_module):
    write_module(
        "own_method_losses",
        "import kantor.losses\n"
        "class Mine(kantor.losses.KD):\n    name, default_weight = 'mine', 7.0\n"
        "class Held(kantor.losses.WeightPenalty):\n    name, default_weight = 'held', 2.0\n"
        "    def forward(self, student):\n        return sum((p**2).sum() for p in student.parameters())\n",
    )
    text = "own_method_losses:Mine@temperature=2,own_method_losses:Held"
    with pytest.raises(ConfigError, match="did not write"):
        parse_methods(text)
    trust.wrote(codes_of(text))
    mine, held = parse_methods(text, limit=5.0)
    assert mine.terms[0].weight == Weight(7.0, limit=5.0)
    assert mine.transfers and mine.teaches_classifier and not held.transfers
    assert [term.name for term in mine.over({"a": 0.5, "b": 0.5}).terms] == ["mine.a", "mine.b"]
    assert held.over({"a": 0.5, "b": 0.5}) == held
    with pytest.raises(ConfigError, match="own_method_losses:Mine has no setting 'temperatur'"):
        parse_methods("own_method_losses:Mine@temperatur=2")
    with pytest.raises(ConfigError, match="temperature is a finite number, not 'hot'"):
        trust.wrote(codes_of("own_method_losses:Mine@temperature=hot"))
        parse_methods("own_method_losses:Mine@temperature=hot")


def test_a_misspelt_built_in_is_still_called_one():
    for text in ("neuron_transprt:20", "neuron_transprt:auto", "neuron_transprt"):
        with pytest.raises(ConfigError, match="Close to it: neuron_transport"):
            parse_methods(text)


def test_a_limit_of_the_weighted_task_follows_its_weight():
    kd, both, own, paper, without = parse_methods(
        "kd,kd+neuron_transport,task:0.5+neuron_transport,neuron_transport@paper,task:0+neuron_transport",
        limit=0.2,
        of_weighted_task=True,
    )
    assert kd.task == 0.1 and kd.terms[0].weight.limit == pytest.approx(0.02)
    assert [term.weight.limit for term in both.terms] == [0.2, 0.2]
    assert own.terms[0].weight == Weight(20.0, limit=0.1)
    assert paper.terms[0].weight.limit is None and without.terms[0].weight.limit is None
    (kd,) = parse_methods("kd", limit=5.0)
    assert kd.terms[0].weight == Weight(0.9, limit=5.0)


def test_terms_of_a_method_in_yaml_may_be_text():
    (written,) = written_methods([{"name": "both", "terms": ["kd@temperature=2", {"loss": "fitnet", "weight": 3.0}]}])
    assert written.terms == (WrittenTerm("kd", {"temperature": 2}), WrittenTerm("fitnet", weight=3.0))


@pytest.mark.parametrize("term", ["kd+fitnet", "none", "task", "task:0.5"])
def test_a_term_in_yaml_is_one_loss(term):
    with pytest.raises(ConfigError, match="a term is one loss"):
        written_methods([{"name": "both", "terms": [term]}])
