"""The model that writes rows, asked with a memory and a budget.

`data` knows no models: whatever has a name, a digest and `generate` is a teacher, and every model behind
the door of `freehold.models` is one. An answer is remembered under the teacher's digest and the prompt's,
so that a run that was killed and typed again pays for nothing twice. Models answer greedily, so what is
remembered is what would be said again; variety comes from the prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from freehold.core.message import Message
from freehold.core.outcome import Failed
from freehold.core.record import Record, digest_json
from freehold.data.synthesis.material import Material, answer_text, prompt_digest

ROOM_FOR_ANSWERS = 1.5
FORM_TOKENS = 24
MOST_ANSWER_TOKENS = 512
_LONGEST_SEEDS = 10


class Written(Protocol):
    """What a teacher says to one prompt. `truncated`: it reached the most tokens before it ended."""

    @property
    def text(self) -> str:
        """The answer."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether it was cut off."""
        ...


OnWritten: TypeAlias = Callable[[int, "Written | Failed"], None]


class Teacher(Protocol):
    """Anything that writes: a local model, an endpoint, a script of answers."""

    @property
    def name(self) -> str:
        """The name that people know it by."""
        ...

    @property
    def digest(self) -> str:
        """The name of everything that decides its answers."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        ...

    def generate(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        max_tokens: int,
        on_answer: OnWritten | None = None,
    ) -> Sequence[Written | Failed]:
        """Answer each prompt; `on_answer(position, answer)` is called as soon as one is known."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return how many tokens a prompt has."""
        ...


class Reply(Record):
    """What a teacher said, as it is remembered. `failure` says why there is nothing, where so."""

    text: str = ""
    truncated: bool = False
    failure: str | None = None


@dataclass(frozen=True)
class Memory:
    """Answers that were paid for before, by name, and how a new one is kept."""

    found: Mapping[str, str] = field(default_factory=dict[str, str])
    keep: Callable[[str, str], None] = lambda _name, _body: None


def work_name(teacher: Teacher) -> str:
    """Return the name under which the answers of a teacher are remembered."""
    return digest_json("synthesis", [teacher.digest])


@dataclass
class Asked:
    """A teacher with a memory and a budget.

    `calls` counts prompts, also those that were remembered, so that a run typed again ends where it
    would have ended; `paid` counts those that the teacher answered now.
    """

    teacher: Teacher
    most_calls: int
    memory: Memory = field(default_factory=Memory)
    calls: int = 0
    paid: int = 0

    @property
    def calls_left(self) -> int:
        """How many prompts may still be asked."""
        return max(0, self.most_calls - self.calls)

    def ask(self, prompts: Sequence[Sequence[Message]], *, max_tokens: int) -> tuple[Reply, ...]:
        """Answer every prompt, from memory where it was asked before.

        Raises:
            ValueError: there are more prompts than calls left.
        """
        if len(prompts) > self.calls_left:
            raise ValueError(f"{len(prompts)} prompts, and {self.calls_left} calls are left")
        self.calls += len(prompts)
        names = [digest_json("asked", [prompt_digest(prompt), max_tokens]) for prompt in prompts]
        replies = {
            name: Reply.from_json(self.memory.found[name])
            for name in names
            if name in self.memory.found
        }
        wanted = [
            (name, prompt)
            for name, prompt in dict(zip(names, prompts, strict=True)).items()
            if name not in replies
        ]
        self._pay(wanted, replies, max_tokens=max_tokens)
        return tuple(replies[name] for name in names)

    def _pay(
        self,
        wanted: Sequence[tuple[str, Sequence[Message]]],
        replies: dict[str, Reply],
        *,
        max_tokens: int,
    ) -> None:
        if not wanted:
            return

        def keep(position: int, written: Written | Failed) -> None:
            """Keep an answer at once: a kill after this cannot lose it. Failures are tried again."""
            self.paid += 1
            name = wanted[position][0]
            if isinstance(written, Failed):
                replies[name] = Reply(failure=written.message)
                return
            replies[name] = Reply(text=written.text, truncated=written.truncated)
            self.memory.keep(name, replies[name].model_dump_json())

        self.teacher.generate(
            [prompt for _, prompt in wanted], max_tokens=max_tokens, on_answer=keep
        )


def answer_tokens(teacher: Teacher, material: Material) -> int:
    """Return how many tokens a new row may take: the longest seeds, and some room."""
    longest = sorted(
        (f"{seed.input}\n{answer_text(seed.target)}" for seed in material.seeds), key=len
    )[-_LONGEST_SEEDS:]
    counted = [teacher.count_tokens((Message(role="user", content=text),)) for text in longest] or [
        MOST_ANSWER_TOKENS
    ]
    wanted = int(ROOM_FOR_ANSWERS * max(counted)) + FORM_TOKENS
    return max(1, min(wanted, MOST_ANSWER_TOKENS, teacher.context_tokens // 2))
