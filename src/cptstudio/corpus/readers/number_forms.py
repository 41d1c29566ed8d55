"""Numbers of lists, notes and headings as documents print them (ECMA-376 part 1, 17.18.59)."""

from __future__ import annotations

_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_LARGEST = 4000
_STEPS = 50
# One sign each for the first numbers; later ones are decimal.
_SIGNS = {
    "russianLower": "абвгдежзиклмнопрстуфхцчшщыэюя",
    "russianUpper": "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЫЭЮЯ",
    "hebrew2": "אבגדהוזחטיכלמנסעפצקרשת", "arabicAlpha": "أبتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "arabicAbjad": "أبجدهوزحطيكلمنسعفصقرشتثخذضظغ",
    "thaiLetters": "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
    "ganada": "가나다라마바사아자차카타파하", "chosung": "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "aiueo": "アイウエオカキクケコサシスセソタチツテトナニヌネノ"
    "ハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "iroha": "イロハニホヘトチリヌルヲワカヨタレソツネナラム"
    "ウヰノオクヤマケフコエテアサキユメミシヱヒモセスン",
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸", "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
    "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳", "chicago": "*†‡§",
}  # fmt: skip
_DIGITS = {
    "ideographDigital": "〇一二三四五六七八九",
    "japaneseDigitalTenThousand": "〇一二三四五六七八九",
    "taiwaneseDigital": "○一二三四五六七八九", "koreanDigital": "영일이삼사오육칠팔구",
    "koreanDigital2": "零一二三四五六七八九", "thaiNumbers": "๐๑๒๓๔๕๖๗๘๙",
    "hindiNumbers": "०१२३४५६७८९", "decimalFullWidth": "０１２３４５６７８９",  # noqa: RUF001
    "decimalFullWidth2": "０１２３４５６７８９",  # noqa: RUF001
}  # fmt: skip
# Digits, tens to thousands, what stands for places left out, and whether 1 is said before them.
_COUNTED = {
    **dict.fromkeys(
        ("chineseCounting", "chineseCountingThousand", "taiwaneseCounting",
         "taiwaneseCountingThousand"), ("一二三四五六七八九", "十百千", "零", True),
    ),
    "japaneseCounting": ("一二三四五六七八九", "十百千", "", False),
    "koreanCounting": ("일이삼사오육칠팔구", "십백천", "", False),
    "ideographLegalTraditional": ("壹貳參肆伍陸柒捌玖", "拾佰仟", "零", True),
    "chineseLegalSimplified": ("壹贰叁肆伍陆柒捌玖", "拾佰仟", "零", True),
    "japaneseLegal": ("壱弐参四伍六七八九", "拾百阡", "", True),
}  # fmt: skip
_AROUND = {
    "decimalEnclosedParen": "({})",
    "decimalEnclosedFullstop": "{}.",
    "numberInDash": "- {} -",
}
_ALIKE = {
    "aiueoFullWidth": "aiueo", "irohaFullWidth": "iroha",
    "ideographZodiacTraditional": "ideographZodiac",
    "decimalEnclosedCircleChinese": "decimalEnclosedCircle",
}  # fmt: skip
_HEBREW = ("אבגדהוזחט", "יכלמנסעפצ", "קרשת")


def number_in(form: str, number: int) -> str:
    """A number as `w:numFmt` writes it: "iv", "b", "三"; decimal in forms that are not known."""
    form = _ALIKE.get(form, form)
    lower = form.lower()
    if lower.endswith("roman") and 0 < number < _LARGEST:
        text = ""
        for size, sign in _ROMAN:
            text += sign * (number // size)
            number %= size
    elif lower in ("lowerletter", "upperletter") and number > 0:
        # After z come aa, bb, cc.
        text = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, _STEPS)
    else:
        return _other(form, number)
    return text.upper() if form.startswith("upper") else text


def _other(form: str, number: int) -> str:
    if number > 0:
        signs = _SIGNS.get(form, "")
        if number <= len(signs):
            return signs[number - 1]
        if form in _DIGITS:
            return "".join(_DIGITS[form][int(digit)] for digit in str(number))
        if form in _COUNTED and number < 10_000:
            return _counted(number, *_COUNTED[form])
        if form == "hebrew1" and number < 500:
            return _hebrew(number)
        if form == "hex":
            return f"{number:X}"
    if form == "decimalZero":
        return f"{number:02}"
    return _AROUND.get(form, "{}").format(number)


def _counted(number: int, digits: str, units: str, zero: str, one: bool) -> str:
    text, gap = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if not digit:
            gap = bool(text)
            continue
        unit = units[place - 1] if place else ""
        # Ten to nineteen begin with the ten alone, but in legal documents.
        silent = (
            digit == 1 and place > 0 and (not one or (place == 1 and number < 20 and unit == "十"))
        )
        text += (zero if gap else "") + ("" if silent else digits[digit - 1]) + unit
        gap = False
    return text


def _hebrew(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    text = _HEBREW[2][hundreds - 1] if hundreds else ""
    if rest in (15, 16):
        # Not the two that begin the name of God.
        return text + "ט" + _HEBREW[0][rest - 10]  # noqa: RUF001
    tens, ones = divmod(rest, 10)
    return text + (_HEBREW[1][tens - 1] if tens else "") + (_HEBREW[0][ones - 1] if ones else "")
