"""A conversation in the terminal: messages and commands in, answers out as they are made."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from rich.markup import escape
from rich.text import Text

from cptstudio.cli.common import console, errors
from cptstudio.corpus.conversations.conversation import Conversation, Turn
from cptstudio.errors import UserError, refusal_of
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt
from cptstudio.lm.chat_format import TAGS, ChatFormat, Part, parts_of, said_again
from cptstudio.sampling import Sampling
from cptstudio.terminal import visible

COMMANDS: Final = (
    ("/retry [N]", "answers message N again with a new seed (the last one without N)"),
    ("/edit [N] [TEXT]", "changes message N and asks again; later messages are dropped"),
    ("/system [TEXT]", "sets the system prompt; without TEXT it is removed"),
    ("/thinking", "shows the thinking of the last answer"),
    ("/show", "lists the conversation with the numbers of its messages"),
    ("/save FILE", "appends the conversation to a JSONL file, which a corpus can be built from"),
    ("/new", "begins a new conversation"),
    ("/help", "lists these commands"),
    ("/quit", "ends the chat, as Ctrl-D does"),
)
_MANY_LINES: Final = '"""'
_PROMPT: Final = "you> "


@dataclass
class Answer:
    """What a model answered.

    Attributes:
        text: as it was made, tags included.
        opens: see `ChatFormat.opens_thinking`.
        tokens: how many were made.
        finish: "end", "length", "stop", or None where it was stopped.
        ended_by: the token or the stop text that ended it.
        rate: tokens in a second, or None.
    """

    text: str = ""
    opens: str = ""
    tokens: int = 0
    finish: str | None = None
    ended_by: str | None = None
    rate: float | None = None

    def why(self, sampling: Sampling) -> str:
        """Return why it ended, how long it is, and how fast it was made."""
        reasons = {
            "end": f"end of turn {self.ended_by}",
            "stop": f"stop sequence {self.ended_by!r}",
            "length": f"token limit ({sampling.max_tokens:,}; raise it with --max-tokens)",
        }
        words = [reasons.get(self.finish or "", "stopped by you")]
        words.append(f"{self.tokens:,} token{'' if self.tokens == 1 else 's'}")
        if self.rate is not None:
            words.append(f"{self.rate:.1f} tokens/s")
        return " · ".join(words)


@dataclass
class Exchange:
    """A message and its answer; the answer is None while there is none."""

    message: str
    answer: Answer | None = None


class Reader:
    """Reads messages: typed at a prompt, or a line each from a pipe or a file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.typed = stream.isatty()
        if self.typed:
            # The import alone gives `input` its editing and its history.
            import readline

            self._readline: Any = readline

    def messages(self) -> Iterator[str]:
        """Yield what is said until the input ends; an interrupt at the prompt drops the line."""
        while True:
            try:
                line = self._line(_PROMPT)
                if line is not None and line.strip() == _MANY_LINES:
                    line = self._many_lines()
            except KeyboardInterrupt:
                errors.print("\n[dim]Ctrl-D ends the chat.[/]")
                continue
            if line is None:
                return
            if line.strip():
                yield line

    def again(self, former: str) -> str | None:
        """Let the user change a message; None where nobody types."""
        if not self.typed or "\n" in former:
            return None
        self._readline.set_startup_hook(lambda: self._readline.insert_text(former))
        try:
            return self._line("edit> ")
        finally:
            self._readline.set_startup_hook()

    def _many_lines(self) -> str | None:
        lines: list[str] = []
        while (line := self._line("...> ")) is not None and line.strip() != _MANY_LINES:
            lines.append(line)
        return "\n".join(lines)

    def _line(self, prompt: str) -> str | None:
        if self.typed:
            try:
                return input(prompt)
            except EOFError:
                errors.print()
                return None
        line = self._stream.readline()
        return line.rstrip("\r\n") if line else None


class AnswerPrinter:
    """Prints an answer as it grows: thinking dim or folded, calls by name, the rest as it is.

    What could be the beginning of a tag is held back until that is known.
    """

    def __init__(self, opens: str, thinking: bool) -> None:
        self._opens, self._thinking = opens, thinking
        self._text = ""
        self._place, self._printed = 0, 0
        self._fresh = True

    def add(self, text: str) -> None:
        """Take more of the answer."""
        self._text += text
        self._print(self._held())

    def finish(self) -> None:
        """Print what was held back, and end the line."""
        self._print(0)
        if not self._fresh:
            _write("\n")

    def _held(self) -> int:
        tags = [tag for start, end, _ in TAGS for tag in (start, end) if tag]
        longest = min(len(self._text), max(map(len, tags)) - 1)
        for size in range(longest, 0, -1):
            if any(tag.startswith(self._text[-size:]) for tag in tags):
                return size
        return 0

    def _print(self, held: int) -> None:
        shown = self._text[: len(self._text) - held]
        parts = parts_of(shown, self._opens)
        for place in range(self._place, len(parts)):
            part = parts[place]
            if place > self._place:
                self._place, self._printed = place, 0
            begins = self._printed == 0
            self._show(part, part.text[self._printed :], begins)
            # Of folded thinking one letter stands for "it was told".
            self._printed = max(len(part.text), 1)

    def _show(self, part: Part, new: str, begins: bool) -> None:
        if part.kind == "thinking" and not self._thinking:
            if begins:
                self._own_line("thinking… (/thinking shows it)")
            return
        if part.kind != "text" and begins:
            self._own_line("thinking:" if part.kind == "thinking" else "tool call:")
        elif begins:
            self._begin_line()
            new = new.lstrip("\n")
        if new:
            _write(new, "dim" if part.kind == "thinking" else "")
            self._fresh = new.endswith("\n")

    def _begin_line(self) -> None:
        if not self._fresh:
            _write("\n")
            self._fresh = True

    def _own_line(self, words: str) -> None:
        self._begin_line()
        errors.print(f"[dim]{words}[/]")


def _write(text: str, style: str = "") -> None:
    """Write on standard output; a file or a program behind a pipe gets it as it is."""
    if sys.stdout.isatty():
        console.print(Text(visible(text), style), end="", soft_wrap=True)
    else:
        sys.stdout.write(text)
    sys.stdout.flush()


@dataclass
class ChatSession:
    """One conversation after the other with one model.

    Attributes:
        label: the model, loaded in the worker.
        system: the system prompt, or None.
        thinking: it is shown.
    """

    worker: InferenceWorker
    label: str
    form: ChatFormat
    sampling: Sampling
    system: str | None = None
    thinking: bool = False
    exchanges: list[Exchange] = field(default_factory=list)
    _draw: int = 0

    def run(self, reader: Reader) -> None:
        """Answer until the input ends."""
        self._reader = reader
        does: dict[str, Callable[[str], None]] = {
            "/retry": self._retry,
            "/edit": self._edit,
            "/system": self._set_system,
            "/thinking": self._show_thinking,
            "/show": self._show,
            "/save": self._save,
            "/new": self._begin_anew,
            "/help": self._help,
        }
        for line in reader.messages():
            command, _, rest = line.partition(" ")
            if command == "/quit":
                return
            try:
                if command in does:
                    does[command](rest.strip())
                elif command.startswith("/") and "\n" not in line and "/" not in command[1:]:
                    raise UserError(f"There is no command {command}. /help lists them.")
                else:
                    self._ask(Exchange(line))
            except UserError as error:
                errors.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)

    # --- asking ------------------------------------------------------------------------------

    def messages(self, exchanges: list[Exchange]) -> tuple[dict[str, str], ...]:
        """Return what the template gets; the last message is unanswered."""
        found = [{"role": "system", "content": self.system}] if self.system else []
        for exchange in exchanges:
            found.append({"role": "user", "content": exchange.message})
            if exchange.answer is not None:
                found.append(said_again(exchange.answer.text, exchange.answer.opens))
        return tuple(found)

    def _ask(self, exchange: Exchange) -> None:
        """Have it answered; it becomes the last one where an answer came."""
        seed = (self.sampling.seed + self._draw) % 2**32
        ask = Complete(
            labels=(self.label,),
            prompts=(Prompt(chat=self.messages([*self.exchanges, exchange])),),
            sampling=self.sampling.model_copy(update={"seed": seed}),
            alternatives=0,
        )
        answer = self._answer(ask)
        if answer.text or answer.finish:
            exchange.answer = answer
            self.exchanges.append(exchange)
        errors.print(f"[dim]{escape(answer.why(self.sampling))}[/]")

    def _answer(self, ask: Complete) -> Answer:
        """Print an answer as it is made. An interrupt ends it; what was made stays."""
        answer = Answer(opens=self.form.opens_thinking)
        printer = AnswerPrinter(answer.opens, self.thinking)
        first = 0.0
        answers = self.worker.ask(ask)
        try:
            for told in answers:
                if "piece" in told:
                    piece = told["piece"]
                    answer.tokens += 1
                    first = first or time.perf_counter()
                    answer.text += piece["text"]
                    answer.finish, answer.ended_by = piece["finish"], piece["ended_by"]
                    printer.add(piece["text"])
                elif "result" in told:
                    answer.rate = told["result"]["texts"][0]["tokens_per_second"]
        except KeyboardInterrupt:
            answers.close()
            if answer.tokens > 1:
                answer.rate = (answer.tokens - 1) / (time.perf_counter() - first)
        printer.finish()
        return answer

    # --- commands ----------------------------------------------------------------------------

    def _number(self, given: str) -> int:
        """The index of the exchange that a command names; the last one where it names none."""
        if not self.exchanges:
            raise UserError("There is no message yet.")
        if not given:
            return len(self.exchanges) - 1
        if not given.isdecimal() or not 1 <= int(given) <= len(self.exchanges):
            raise UserError(
                f"There is no message {given}. Choose 1 to {len(self.exchanges)}; /show lists them."
            )
        return int(given) - 1

    def _retry(self, rest: str) -> None:
        self._again(self._number(rest), None)

    def _edit(self, rest: str) -> None:
        first, _, text = rest.partition(" ")
        numbered = first.isdecimal()
        place = self._number(first if numbered else "")
        new = (text if numbered else rest).strip() or self._reader.again(
            self.exchanges[place].message
        )
        if not new:
            raise UserError("Write the new text behind the command: /edit 1 TEXT.")
        self._again(place, new)

    def _again(self, place: int, message: str | None) -> None:
        former = self.exchanges
        asked = former[place].message if message is None else message
        self.exchanges = former[:place]
        # The same question draws anew; another one begins where the session began.
        self._draw += 1
        try:
            self._ask(Exchange(asked))
        except UserError:
            self.exchanges = former
            raise
        if len(self.exchanges) <= place:
            self.exchanges = former
        elif dropped := len(former) - place - 1:
            errors.print(f"[dim]{dropped} later message{'s' if dropped > 1 else ''} dropped.[/]")

    def _set_system(self, text: str) -> None:
        self.system = text or None
        errors.print(f"[dim]System prompt {'set' if text else 'removed'}.[/]")

    def _show_thinking(self, _: str) -> None:
        answer = self.exchanges[self._number("")].answer
        parts = parts_of(answer.text, answer.opens) if answer else []
        thoughts = [part.text.strip() for part in parts if part.kind == "thinking"]
        thoughts = [one for one in thoughts if one]
        if not thoughts:
            raise UserError("The last answer has no thinking.")
        _write("\n".join(thoughts) + "\n", "dim")

    def _show(self, _: str) -> None:
        if self.system:
            errors.print(f"[dim]system:[/] {escape(self.system)}")
        for number, exchange in enumerate(self.exchanges, 1):
            errors.print(f"[dim]{number}, you:[/] {escape(exchange.message)}")
            if exchange.answer is not None:
                said = said_again(exchange.answer.text, exchange.answer.opens)["content"]
                errors.print(f"[dim]{escape(self.label)}:[/] {escape(said)}")

    def _save(self, name: str) -> None:
        if not name:
            raise UserError("Name a file: /save FILE.")
        turns = [Turn(**message) for message in self.messages(self.exchanges)]  # type: ignore[arg-type]
        line = Conversation.made(turns).to_json() + "\n"
        path = Path(name).expanduser()
        try:
            # One write at the end, so that another session's line is not cut in two.
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                file.write(line.encode("utf-8", "surrogatepass"))
        except OSError as error:
            refused = refusal_of(error)
            raise refused or UserError(f"Could not write {path}: {error.strerror}.") from None
        errors.print(f"[dim]Appended to {escape(str(path))} as one conversation.[/]")

    def _begin_anew(self, _: str) -> None:
        self.exchanges = []
        errors.print("[dim]New conversation.[/]")

    def _help(self, _: str) -> None:
        for command, words in COMMANDS:
            errors.print(f"{escape(command):<18} [dim]{escape(words)}[/]")
