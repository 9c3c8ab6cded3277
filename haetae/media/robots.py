"""robots.txt: whether a crawler may ask for an address, and how much time it must leave between requests.

It is asked about pages, feeds, channels and what is listed there; a single file that a person declared is
fetched without it. The waiting itself is in `hosts`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from haetae.errors import Rejected
from haetae.media.addresses import host_of
from haetae.media.hosts import Hosts

MAX_BYTES = 512 << 10
FRESH_S = 86_400.0
FRESH_AFTER_FAILURE_S = 600.0
LONGEST_DELAY_S = 60.0


@dataclass(frozen=True)
class Answer:
    """What a host said: the HTTP state (0: it could not be asked) and, for 2xx, the rules."""

    status: int
    text: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the host did not answer; then nothing may be asked for now. After: RFC 9309, 2.3.1."""
        return self.status == 0 or self.status == 429 or self.status >= 500


@dataclass
class Robots:
    """The rules of hosts, asked for once a day and kept with the state of the host.

    fetch: address of a robots.txt to what the host said.
    """

    hosts: Hosts
    fetch: Callable[[str], Answer]
    _rules: dict[str, tuple[Answer, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.hosts.manners.user_agent.partition("/")[0].strip().lower()

    def require(self, address: str) -> None:
        """Raises: Rejected `robots_disallowed` for an address that the host closes to us."""
        answer, rules = self._of(address)
        if answer.is_failure:
            why = f"status {answer.status}" if answer.status else "no answer"
            raise Rejected("robots_disallowed", f"{host_of(address)}/robots.txt cannot be read now ({why})")
        if rules is not None and not rules.can_fetch(address, self.name):
            path = urlsplit(address).path
            raise Rejected("robots_disallowed", f"{host_of(address)}/robots.txt closes {path} to {self.name}")

    def delay_s(self, address: str) -> float:
        """Seconds between two requests that the host asks for; 0 where it does not say, at most a minute."""
        known = self._rules.get(_place(address))
        if known is None or known[1] is None:
            return 0.0
        rules = known[1]
        rate = rules.request_rate(self.name)
        by_rate = rate.seconds / rate.requests if rate is not None and rate.requests else 0.0
        return float(min(max(rules.crawl_delay(self.name) or 0.0, by_rate), LONGEST_DELAY_S))

    def _of(self, address: str) -> tuple[Answer, Any]:
        place = _place(address)
        if place not in self._rules:
            from protego import Protego

            answer = self._kept(place) or self._ask(place)
            readable = 200 <= answer.status < 300
            self._rules[place] = (answer, Protego.parse(answer.text) if readable else None)
        return self._rules[place]

    def _kept(self, place: str) -> Answer | None:
        try:
            kept = json.loads(self._file(place).read_text(encoding="utf-8"))
            answer, age_s = Answer(int(kept["status"]), str(kept["text"])), time.time() - float(kept["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return answer if 0 <= age_s < (FRESH_AFTER_FAILURE_S if answer.is_failure else FRESH_S) else None

    def _ask(self, place: str) -> Answer:
        answer = self.fetch(f"{place}/robots.txt")
        file = self._file(place)
        new = file.with_name(f"{file.name}.{os.getpid()}")
        new.write_text(json.dumps({"at": time.time(), "status": answer.status, "text": answer.text}))
        os.replace(new, file)
        return answer

    def _file(self, place: str) -> Any:
        return self.hosts.folder(host_of(place)) / f"robots-{urlsplit(place).scheme}.json"


def _place(address: str) -> str:
    """Scheme and host of an address: what one robots.txt is about."""
    parts = urlsplit(address)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}"
