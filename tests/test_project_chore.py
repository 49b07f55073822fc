import threading

from wherry.project.chore import Chore


class Counted(Chore):
    def __init__(self, **settings: object) -> None:
        super().__init__("counted", **settings)  # type: ignore[arg-type]
        self.done, self.ended = 0, 0
        self.often = threading.Event()

    def do(self) -> None:
        self.done += 1
        if self.done == 3:
            self.often.set()

    def end(self) -> None:
        self.ended += 1


def test_it_is_done_again_and_again_and_ended_once() -> None:
    with Counted(every_seconds=0.001) as chore:
        assert chore.often.wait(20)
    assert chore.ended == 1
    done = chore.done
    assert not threading.Event().wait(0.01)
    assert chore.done == done


def test_the_first_time_waits_unless_it_is_to_begin_at_once() -> None:
    with Counted(every_seconds=3_600) as waiting:
        pass
    assert waiting.done == 0
    assert waiting.ended == 1
    with Counted(every_seconds=3_600, begins_at_once=True) as eager:
        while not eager.done:
            threading.Event().wait(0.001)
    assert eager.done == 1
