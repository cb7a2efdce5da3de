"""What is asked for in a shell and on a page alike."""

from entviz.tasks import read_task
from entviz.workbench import Request
from tests.cli.conftest import TEXT

CUT = ("--windows", "3", "--window-length", "40")
RANK = ("rank", "--text", TEXT, *CUT, "--criterion")
OTHER = "Nobody had been there for years, so the path was grown over, and the gate hung from one hinge. " * 3


def done(job):
    assert job.wait(60), job.snapshot()
    return job.result


def request(directory, windows=3, text=TEXT):
    return Request(str(directory), text, windows, 40)


# A command, and the same asked for on a page: the kind of result, the arguments, what the workbench is asked.
SAME = {
    "analyze": (
        "analysis",
        ("analyze", "--text", TEXT, *CUT),
        lambda bench, at: bench.analyze(request(at), ("cosine", "renyi", "knn", "bucket"), "tests"),
    ),
    "analyze some": (
        "analysis",
        ("analyze", "--text", TEXT, *CUT, "--metric", "cosine,bucket", "--level", "mlp,attn"),
        lambda bench, at: bench.analyze(request(at), ("bucket", "cosine"), "tests", levels=("attn", "mlp")),
    ),
    "all windows": (
        "analysis",
        ("analyze", "--text", TEXT, "--window-length", "40", "--metric", "bucket"),
        lambda bench, at: bench.analyze(request(at, len(TEXT) // 40), ("bucket",), "tests"),
    ),
    "evaluate": (
        "evaluation",
        ("evaluate", "--text", TEXT, *CUT, "--drop", "mlp.2,attn.1"),
        lambda bench, at: bench.evaluate(request(at), "attn.1,mlp.2", "tests"),
    ),
    "evaluate in the fastest type": (
        "evaluation",
        ("evaluate", "--text", TEXT, *CUT, "--dtype", "auto"),
        lambda bench, at: bench.evaluate(request(at), "", "tests", "auto"),
    ),
    "a task": (
        "score",
        ("evaluate", "--task", "grammar", "--limit", "6", "--drop", "attn.1"),
        lambda bench, at: bench.score(str(at), "grammar", "attn.1", "tests", limit=6),
    ),
    "rank by budget": (
        "ranking",
        (*RANK, "entrodrop", "--estimator", "bucket", "--protect", "1,0", "--budget", "10%"),
        lambda bench, at: bench.rank(
            request(at), "entrodrop", "bucket", "attn", "10%", "tests", protect=(1, 0)
        ),
    ),
    "rank by trying": (
        "ranking",
        (*RANK, "leave-one-out", "--level", "mlp", "--budget", "2"),
        lambda bench, at: bench.rank(request(at), "leave-one-out", "knn", "mlp", 3, "tests"),
    ),
    "rank at random": (
        "ranking",
        (*RANK, "random", "--seed", "5"),
        lambda bench, at: bench.rank(request(at), "random", "knn", "attn", 2, "tests", seed=5),
    ),
    "rank greedily": (
        "ranking",
        (*RANK, "sleb", "--budget", " 1 "),
        lambda bench, at: bench.rank(request(at), "sleb", "knn", "layer", 1, "tests"),
    ),
    "search": (
        "ranking",
        (*RANK, "search", "--budget", "1", "--seconds", "1"),
        lambda bench, at: bench.rank(request(at), "search", "knn", "attn", 1, "tests", seconds=1.0),
    ),
    "compare": (
        "comparison",
        (
            *("compare", "--text", TEXT, "--window-length", "40", "--calibration-windows", "2"),
            *("--criteria", "cosine,random", "--budgets", "1,2", "--level", "attn,mlp", "--seeds", "2"),
            *("--task", "grammar", "--limit", "5"),
        ),
        lambda bench, at: bench.compare(
            *(request(at, 2), ("cosine", "random"), ("1", "2"), ("attn", "mlp"), "tests"),
            seeds=2,
            task=read_task("grammar"),
            limit=5,
        ),
    ),
    "trust": (
        "trust",
        ("trust", "--text", TEXT, *CUT, "--level", "attn+mlp"),
        lambda bench, at: bench.trust(request(at), "attn+mlp", "tests"),
    ),
    "interactions": (
        "interactions",
        ("interactions", "--text", TEXT, *CUT, "--level", "mlp"),
        lambda bench, at: bench.interactions(request(at), "mlp", "tests"),
    ),
    "generate": (
        "generation",
        ("generate", "--prompt", "Once upon", "--drop", "attn.1", "--max-new-tokens", "5"),
        lambda bench, at: bench.generate(request(at), "Once upon", "attn.1", 5, "tests"),
    ),
}
