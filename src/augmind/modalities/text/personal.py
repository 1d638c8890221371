"""What in a text looks as if it belonged to a person: addresses and numbers, by their form alone."""

import re

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PHONE = re.compile(
    r"(?<![A-Za-z0-9_.+])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|1[3-9]\d{9})(?![A-Za-z0-9_-])"
)
"""International numbers with their country, North American ones with separators, Chinese mobile ones."""
CARD = re.compile(r"(?<![A-Za-z0-9_-])\d(?:[ -]?\d){12,18}(?![A-Za-z0-9_-])")
ADDRESS = re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])")
KINDS = ("e-mail address", "card number", "telephone number", "IP address")


def personal(text: str) -> list[tuple[str, str]]:
    """(kind, text) of all that is found, in the order of `KINDS`; nothing is found twice. A card number has a right check digit (Luhn)."""
    found: list[tuple[str, str]] = []
    for kind, pattern in zip(KINDS, (EMAIL, CARD, PHONE, ADDRESS), strict=True):
        for match in pattern.findall(text):
            if kind != "card number" or luhn(match):
                found.append((kind, match))
                text = text.replace(match, " ")
    return found


def luhn(number: str) -> bool:
    """Whether the last digit checks the others, as on payment cards (ISO/IEC 7812)."""
    digits = [int(c) for c in number if c.isdigit()][::-1]
    return sum(digits[0::2] + [sum(divmod(2 * d, 10)) for d in digits[1::2]]) % 10 == 0
