"""Requests that a shell and a page make alike."""

from entviz.blocks import PruneSet
from entviz.studies import (
    Analyze,
    AnalyzePruned,
    Compare,
    JudgeCriteria,
    MeasureDamages,
    MeasurePairs,
    MeasureTokenDamages,
    Rank,
    RankingOptions,
    TextSample,
)
from entviz.tasks import read_task
from tests.cli.conftest import TEXT
from tests.runtime.asking import evaluation, generation_of, scoring

CUT = ("--windows", "3", "--window-length", "40")
RANK = ("rank", "--text", TEXT, *CUT, "--criterion")
OTHER = "Nobody had been there for years, so the path was grown over, and the gate hung from one hinge. " * 3


def done(job):
    assert job.wait(60), job.snapshot()
    return job.result


def request(directory, windows=3, text=TEXT):
    return TextSample(str(directory), text, windows, 40)


# A command, and the same asked for on a page: the kind of result, the arguments, what the runtime is asked.
SAME = {
    "analyze": (
        "analysis",
        ("analyze", "--text", TEXT, *CUT),
        lambda here, at: here.ask(Analyze(request(at), ("cosine", "renyi", "knn", "bucket")), "tests"),
    ),
    "analyze some": (
        "analysis",
        ("analyze", "--text", TEXT, *CUT, "--metric", "cosine,bucket", "--level", "mlp,attn"),
        lambda here, at: here.ask(Analyze(request(at), ("bucket", "cosine"), ("attn", "mlp")), "tests"),
    ),
    "all windows": (
        "analysis",
        ("analyze", "--text", TEXT, "--window-length", "40", "--metric", "bucket"),
        lambda here, at: here.ask(Analyze(request(at, len(TEXT) // 40), ("bucket",)), "tests"),
    ),
    "analyze the pruned model": (
        "pruned analysis",
        ("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--drop", "mlp.2,attn.1"),
        lambda here, at: here.ask(
            AnalyzePruned(request(at), ("bucket",), drop=PruneSet.parse("attn.1,mlp.2")), "tests"
        ),
    ),
    "analyze without massive tokens": (
        "analysis",
        ("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--without-massive"),
        lambda here, at: here.ask(Analyze(request(at), ("bucket",), without_massive=True), "tests"),
    ),
    "analyze the pruned model without them": (
        "pruned analysis",
        ("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--drop", "mlp.2", "--without-massive"),
        lambda here, at: here.ask(
            AnalyzePruned(request(at), ("bucket",), drop=PruneSet.parse("mlp.2"), without_massive=True),
            "tests",
        ),
    ),
    "evaluate": (
        "evaluation",
        ("evaluate", "--text", TEXT, *CUT, "--drop", "mlp.2,attn.1"),
        lambda here, at: here.ask(evaluation(request(at), "attn.1,mlp.2"), "tests"),
    ),
    "evaluate in the fastest type": (
        "evaluation",
        ("evaluate", "--text", TEXT, *CUT, "--dtype", "auto"),
        lambda here, at: here.ask(evaluation(request(at), "", "auto"), "tests"),
    ),
    "a task": (
        "score",
        ("evaluate", "--task", "grammar", "--limit", "6", "--drop", "attn.1"),
        lambda here, at: here.ask(scoring(str(at), "grammar", "attn.1", limit=6), "tests"),
    ),
    "rank by budget": (
        "ranking",
        (*RANK, "entrodrop", "--estimator", "bucket", "--protect", "1,0", "--budget", "10%"),
        lambda here, at: here.ask(
            Rank(request(at), RankingOptions("entrodrop", "bucket", "attn", "10%", protect=(1, 0))), "tests"
        ),
    ),
    "rank by trying": (
        "ranking",
        (*RANK, "leave-one-out", "--level", "mlp", "--budget", "2"),
        lambda here, at: here.ask(
            Rank(request(at), RankingOptions("leave-one-out", "knn", "mlp", 3)), "tests"
        ),
    ),
    "rank at random": (
        "ranking",
        (*RANK, "random", "--seed", "5"),
        lambda here, at: here.ask(
            Rank(request(at), RankingOptions("random", "knn", "attn", 2, seed=5)), "tests"
        ),
    ),
    "rank greedily": (
        "ranking",
        (*RANK, "sleb", "--budget", " 1 "),
        lambda here, at: here.ask(Rank(request(at), RankingOptions("sleb", "knn", "layer", 1)), "tests"),
    ),
    "rank by measuring again": (
        "ranking",
        (*RANK, "entrodrop", "--estimator", "bucket", "--protect", "0,0", "--iterative", "--budget", "2"),
        lambda here, at: here.ask(
            Rank(
                request(at),
                RankingOptions("entrodrop", "bucket", "attn", 2, (0, 0), more=(("iterative", True),)),
            ),
            "tests",
        ),
    ),
    "search": (
        "ranking",
        (*RANK, "search", "--budget", "1", "--seconds", "1"),
        lambda here, at: here.ask(
            Rank(request(at), RankingOptions("search", "knn", "attn", 1, seconds=1.0)), "tests"
        ),
    ),
    "compare": (
        "comparison",
        (
            *("compare", "--text", TEXT, "--window-length", "40", "--calibration-windows", "2"),
            *("--criteria", "cosine,random", "--budgets", "1,2", "--level", "attn,mlp", "--seeds", "2"),
            *("--task", "grammar", "--limit", "5"),
        ),
        lambda here, at: here.ask(
            Compare(
                *(request(at, 2), ("cosine", "random"), ("1", "2"), ("attn", "mlp")),
                seeds=2,
                task=read_task("grammar"),
                limit=5,
            ),
            "tests",
        ),
    ),
    "trust": (
        "trust",
        ("trust", "--text", TEXT, *CUT, "--level", "attn+mlp"),
        lambda here, at: here.ask(JudgeCriteria(request(at), "attn+mlp"), "tests"),
    ),
    "trust of other entropies": (
        "trust",
        ("trust", "--text", TEXT, *CUT, "--level", "mlp", "--estimators", "renyi,knn(k=5),matrix"),
        lambda here, at: here.ask(
            JudgeCriteria(request(at), "mlp", ("knn(k=5)", "matrix", "renyi")), "tests"
        ),
    ),
    "damages": (
        "block damages",
        ("damages", "--text", TEXT, *CUT, "--drop", "mlp.2,attn.1", "--level", "mlp,attn"),
        lambda here, at: here.ask(MeasureDamages(request(at), PruneSet.parse("attn.1,mlp.2")), "tests"),
    ),
    "damages by token": (
        "token damages",
        ("damages", "--text", TEXT, *CUT, "--by-token", "--drop", "mlp.2,attn.1"),
        lambda here, at: here.ask(MeasureTokenDamages(request(at), PruneSet.parse("attn.1,mlp.2")), "tests"),
    ),
    "interactions": (
        "interactions",
        ("interactions", "--text", TEXT, *CUT, "--level", "mlp"),
        lambda here, at: here.ask(MeasurePairs(request(at), "mlp"), "tests"),
    ),
    "generate": (
        "generation",
        ("generate", "--prompt", "Once upon", "--drop", "attn.1", "--max-new-tokens", "5"),
        lambda here, at: here.ask(generation_of(request(at), "Once upon", "attn.1", 5), "tests"),
    ),
}
