from rich.console import Console

from wherry.cli.shopping import shopping_report
from wherry.simulate import Visited
from wherry.simulate.latencies import Latency
from wherry.simulate.visitors import Shown


def test_the_report_fits_a_terminal_and_tells_each_model():
    latency = Latency(count=9, p50=1.25, p90=2.0, p99=4.5, p999=5.0, max=6.0)
    models = {
        f"recommender@{version}": Shown(lists=1_000, clicks=99 + version, adds=7, purchases=3)
        for version in (1, 2)
    }
    done = Visited(
        url="http://127.0.0.1:1", visits=300, events=4_000, models=models, put_off=2,
        errors={"recommend: status 500": 1}, seconds=4.0, latency=latency,
    )  # fmt: skip
    console = Console(width=80, record=True)
    for part in shopping_report(done):
        console.print(part)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    for told in ("recommender@1", "10.0%", "10.1%", "2,000 lists", "1 × recommend: status 500"):
        assert told in text
