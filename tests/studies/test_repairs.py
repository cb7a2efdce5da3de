"""A repair is part of the key of what is measured with it, and of no other."""

import dataclasses

import pytest

from entviz.blocks import PruneSet
from entviz.errors import OptionError
from entviz.repair.choice import RepairChoice
from entviz.studies import AnalyzePruned, Generate, ScoreTask, TextSample
from entviz.studies.samples import Prompt, TaskItems

DROP = PruneSet.parse("attn.1")
STUDIES = [
    AnalyzePruned(TextSample("smollm2-135m", "A text.", 2, 32), drop=DROP),
    Generate(Prompt("smollm2-135m", "A text."), DROP, 8),
    ScoreTask(TaskItems("smollm2-135m", "common-sense"), DROP),
]
CHOICES = [
    RepairChoice("bias"),
    RepairChoice("refit"),
    RepairChoice("bias", ("Some text.",)),
    RepairChoice("bias", ("Some text.", "Other text.")),
    RepairChoice("bias", ("Some text.",), self_written=False),
    RepairChoice("bias", windows=8),
    RepairChoice("bias", window_length=64),
]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.kind)
def test_every_choice_has_a_key_of_its_own(study):
    repaired = [dataclasses.replace(study, repair=choice).options() for choice in CHOICES]
    assert all(repaired.count(options) == 1 for options in repaired)
    plain = study.options()
    assert not {"repair", "calibration", "self_written"} & set(plain)
    assert all(options | plain == options for options in repaired)


@pytest.mark.parametrize("study", STUDIES[:2], ids=lambda study: study.kind)
def test_fitting_on_what_is_measured_is_refused(study):
    with pytest.raises(OptionError, match="fitted on the text that it is measured on"):
        dataclasses.replace(study, repair=RepairChoice("bias", ("A text.",))).check()


@pytest.mark.parametrize("study", STUDIES[:2], ids=lambda study: study.kind)
def test_a_page_can_want_the_pruned_and_the_repaired_model_at_once(study):
    assert dataclasses.replace(study, repair=CHOICES[0]).slot != study.slot
