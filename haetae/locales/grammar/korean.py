"""Korean: particles chosen by the final consonant, long negation, native and Sino-Korean numbers.

Irregular verbs whose stem a form does not tell are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from haetae.locales.grammar.base import Change, Grammar, Piece
from haetae.locales.numerals import NATIVE_BEFORE_NOUN, sino_korean, sino_korean_value

_BY_FINAL = (
    ("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("이나", "나"), ("이랑", "랑"), ("이라도", "라도"),
    ("이에요", "예요"), ("이었습니다", "였습니다"), ("이었어요", "였어요"), ("이네요", "네요"), ("과는", "와는"),
    ("과의", "와의"), ("과도", "와도"), ("이라고", "라고"), ("이라는", "라는"),
)  # fmt: skip
"""Particles after a consonant, and after a vowel."""
_BY_FINAL_BUT_L = tuple(("으로" + tail, "로" + tail) for tail in ("", "는", "도", "만", "부터", "의"))
"""These count a final ㄹ as a vowel."""
_ALWAYS = (
    "에", "에서", "에게", "한테", "께", "께서", "의", "도", "만", "까지", "부터", "보다", "처럼", "마다",
    "밖에", "만큼", "부터입니다", "까지입니다", "에는", "에도", "에만", "에서는", "에서도", "에서만",
    "까지는", "까지도", "부터는", "에게는", "에게서", "한테서", "하고", "입니다", "입니까", "씨", "씨가",
    "씨는", "씨를", "씨도", "씨와", "님", "님이", "님은", "님을", "님께서", "님께",
)  # fmt: skip
_FINAL = {"ㄹ": 8, "ㅂ": 17, "ㅆ": 20}
_PAST = {
    "렸": "리", "쳤": "치", "졌": "지", "셨": "시", "겼": "기", "꼈": "끼", "혔": "히", "냈": "내", "갔": "가",
    "났": "나", "샀": "사", "탔": "타", "왔": "오", "봤": "보", "줬": "주", "됐": "되", "뒀": "두",
}  # fmt: skip
"""Contracted past syllables that come from one stem only, but for the verbs in `_OTHER_STEM`."""
_OTHER_STEM = ("도왔", "고왔", "잠갔", "담갔", "아팠", "바빴")
_UNSURE_PAST = "들걸물실달길나지이부그저붓퍼"
"""Before 았 and 었: ㄷ- and ㅅ-irregular verbs look like regular ones (걷다, 낫다)."""
_UNSURE_PRESENT = "듭삽놉압팝엽웁겁깁멉답뭅법붑빕썹텁풉끕돕밉늡깝"
"""Before 니다: may be a stem in ㄹ that lost it (만들다)."""
_VERBS_IN_I = "보쓰모직줄높들붙먹끓섞쌓놓꺾깎죽속숙벌덮녹파트차떼꼬조매"
"""What stands before 입니다 in verbs such as 보이다, where it is no copula."""
_ASKING = ("누구", "어디", "언제", "무엇", "뭐", "몇", "얼마", "왜", "어떻게", "무슨", "어느")
_LINKS = ("고", "아", "어", "해", "여", "져", "려", "와", "워")
"""Ends of a verb before the auxiliary 있다."""


def has_final(word: str) -> bool:
    """Whether the last syllable of a word ends in a consonant."""
    return final_of(word) > 0


def final_of(word: str) -> int:
    """Index of the final consonant of the last syllable, 0 without one or where it is no Hangul syllable."""
    code = ord(word[-1]) - 0xAC00 if word else -1
    return code % 28 if 0 <= code < 11172 else 0


def with_particle(noun: str, particle: str) -> str:
    """A noun with a particle in the form that suits it, whichever form is given: 물 + 가 = 물이, 길 + 으로 = 길로."""
    for pair in _BY_FINAL:
        if particle in pair:
            return noun + pair[0 if has_final(noun) else 1]
    for pair in _BY_FINAL_BUT_L:
        if particle in pair:
            return noun + pair[0 if final_of(noun) not in (0, _FINAL["ㄹ"]) else 1]
    return noun + particle


class Korean(Grammar):
    """Rules of Korean."""

    def splits(self, core: str) -> Iterator[tuple[str, str]]:
        yield core, ""
        for k in range(len(core) - 1, 1, -1):
            noun, ending = core[:k], core[k:]
            known = ending in _ALWAYS or any(ending in pair for pair in (*_BY_FINAL, *_BY_FINAL_BUT_L))
            if known and with_particle(noun, ending) == core:
                yield noun, ending
        if core[:1] in self.locale.names.family and len(core) > 2:
            for given, ending in self.splits(core[1:]):
                if given in self.locale.names.female or given in self.locale.names.male:
                    yield given, f"{core[0]}+{ending}"

    def joined(self, noun: str, ending: str, old: str) -> str | None:
        del old
        family, plus, particle = ending.partition("+")
        return family + with_particle(noun, particle) if plus else with_particle(noun, ending)

    def negations(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        yield from super().negations(pieces)
        for i, piece in enumerate(pieces):
            before = pieces[i - 1].core if i and not pieces[i - 1].after else ""
            if before in ("안", "못") or before.startswith(_ASKING) or "?" in piece.after:
                continue
            new = self._negated(piece.core, before)
            if new:
                yield Change(i, 1, new, "negation")
            yield from _affirmed(i, piece.core, before)
            if piece.core == "주세요" and before.endswith("해") and len(before) > 1:
                yield Change(i - 1, 1, before[:-1] + "하지 말아", "negation")
            if piece.core == "거예요" and before.endswith("할") and len(before) > 1:
                yield Change(i - 1, 1, before[:-1] + "하지 않을", "negation")
            elif piece.core == "거예요" and before in self.locale.negation.verbs:
                yield Change(i - 1, 1, f"안 {before}", "negation")

    def _negated(self, core: str, before: str) -> str | None:
        if "않" in core or "못" in core or core.startswith(_ASKING):
            return None
        for end, past, present in (("습니다", "지 않았습니다", "지 않습니다"), ("어요", "지 않았어요", "")):
            base = core.removesuffix(end)
            if base == core or not base:
                continue
            if base[-1] in "있없":
                return _existing(base, end, before)
            if final_of(base) == _FINAL["ㅆ"]:
                return _past_or_wish(base, past, end)
            if present and has_final(base) and base not in ("고맙", "반갑"):
                return base + present
        if core.endswith("습니다"):
            return None
        if core.endswith("니다"):
            return _present(core)
        if core.endswith(("예요", "이에요")) and core != "거예요":
            noun = core.removesuffix("이에요") if core.endswith("이에요") else core.removesuffix("예요")
            return with_particle(noun, "가") + " 아니에요" if noun else None
        if core.endswith("해요") and len(core) > 2:
            return core[:-2] + "하지 않아요"
        if core.endswith("하세요") and len(core) > 3 and not core.startswith("안녕"):
            return core[:-3] + "하지 마세요"
        return None

    def number_words(self, pieces: Sequence[Piece]) -> Iterator[Change]:
        for i, piece in enumerate(pieces):
            if self.in_digits(pieces, i) and piece.core in self.locale.numbers.digits:
                others = [d for d in self.locale.numbers.digits if d not in (piece.core, "영")]
            else:
                others = self._others(pieces, i)
            yield from (Change(i, 1, other, "number") for other in others)

    def as_digit(self, core: str) -> str:
        for ending in ("입니다", "이에요", "예요", "번"):
            core = core.removesuffix(ending) or core
        return core

    def _others(self, pieces: Sequence[Piece], i: int) -> list[str]:
        """Other numbers for a number word that stands before what is counted or measured."""
        if i + 1 >= len(pieces) or pieces[i].after:
            return []
        core, unit, numbers = pieces[i].core, pieces[i + 1].core, self.locale.numbers
        before = pieces[i - 1].core if i else ""
        if core in NATIVE_BEFORE_NOUN and self._is_unit(unit, numbers.counted):
            # "말을 한 시간" is the time at which one spoke, "네 사람" may be your person.
            if core in ("한", "네") and (before.endswith(("을", "를")) or unit.startswith(("사람", "시간"))):
                return []
            return [n for n in NATIVE_BEFORE_NOUN[:10] if n != core]
        value = sino_korean_value(core)
        # One syllable may be another word: "이 층" is this floor, "일 년" is no work.
        sure = value is not None and (value >= 100 or (value >= 10 and len(core) > 1) or core in "삼육칠팔십")
        if value is None or not sure or not self._is_unit(unit, (*numbers.measured, *numbers.counted)):
            return []
        return [sino_korean(n) for n in _like(value) if n != value]

    def _is_unit(self, core: str, units: Sequence[str]) -> bool:
        return core in units or any(noun in units for noun, _ in self._units_of(core))

    def _units_of(self, core: str) -> Iterator[tuple[str, str]]:
        """As `splits`, also for units of one syllable."""
        for k in range(len(core) - 1, 0, -1):
            if with_particle(core[:k], core[k:]) == core and (
                core[k:] in _ALWAYS or any(core[k:] in pair for pair in (*_BY_FINAL, *_BY_FINAL_BUT_L))
            ):
                yield core[:k], core[k:]


def _affirmed(i: int, core: str, before: str) -> Iterator[Change]:
    """Long negation taken back: -지 않습니다 tells the stem, so this is exact; the past only of 하다."""
    stem = before.removesuffix("지")
    if stem == before or not stem:
        return
    if core == "않습니다":
        yield Change(i - 1, 2, _formal(stem), "negation")
    elif core == "않겠습니다":
        yield Change(i - 1, 2, stem + "겠습니다", "negation")
    elif core in ("않았습니다", "않았어요") and stem.endswith("하"):
        yield Change(i - 1, 2, stem[:-1] + "했" + core.removeprefix("않았"), "negation")


def _formal(stem: str) -> str:
    """A verb stem with the formal ending: 오르 → 오릅니다, 열 → 엽니다, 좋 → 좋습니다."""
    final = final_of(stem)
    if final not in (0, _FINAL["ㄹ"]):
        return stem + "습니다"
    return stem[:-1] + chr(ord(stem[-1]) - final + _FINAL["ㅂ"]) + "니다"


def _like(value: int) -> list[int]:
    """Numbers with another first digit, not too far off: 500 for 300, 25 for 45."""
    unit = 10 ** (len(str(value)) - 1)
    first, rest = divmod(value, unit)
    return [digit * unit + rest for digit in range(max(1, first - 3), min(9, first + 3) + 1)]


def _existing(base: str, end: str, before: str) -> str | None:
    """있다 and 없다; as an auxiliary after a verb, 있다 has no 없다 beside it."""
    if base.endswith("없"):
        return base[:-1] + "있" + end
    if before.endswith(_LINKS) and len(base) == 1:
        return "있지 않습니다" if end == "습니다" else "있지 않아요"
    return base[:-1] + "없" + end


def _past_or_wish(base: str, past: str, end: str) -> str | None:
    if base.endswith("겠"):
        stem = base[:-1]
        if not stem or stem in ("알", "모르", "처음뵙"):
            return None
        if stem.endswith("있"):
            return stem[:-1] + "없겠" + end
        return stem + ("지 않겠" + end)
    stem_ = _stem_of_past(base)
    return None if stem_ is None else stem_ + past


def _stem_of_past(base: str) -> str | None:
    """The verb stem of a past form without its ending, where the form tells it: 내렸 → 내리."""
    head, last = base[:-1], base[-1]
    if last == "했":
        return head + "하"
    if last in "았었":
        if head.endswith("만들"):
            return head
        return head if head and head[-1] not in _UNSURE_PAST else None
    if last not in _PAST or base.endswith(_OTHER_STEM):
        return None
    return head + _PAST[last]


def _present(core: str) -> str | None:
    base = core.removesuffix("니다")
    if len(base) < 1 or final_of(base) != _FINAL["ㅂ"]:
        return None
    stem = base[:-1] + chr(ord(base[-1]) - _FINAL["ㅂ"])
    if base[-1] == "입":
        noun = base[:-1]
        if not noun or noun[-1] in _VERBS_IN_I:
            return None
        return with_particle(noun, "가") + " 아닙니다"
    # 갈다 and 날다 look like 가다 and 나다 where nothing stands before them.
    if stem in ("감사하", "죄송하", "미안하", "아니", "나", "가") or base[-1] in _UNSURE_PRESENT:
        return None
    return stem + "지 않습니다"
