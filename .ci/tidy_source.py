"""Reads C and C++ well enough for the house rules: blanks comments, finds functions. No parser."""
import re

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/'                                  # comments
    r'|(?P<text>R"(?P<mark>[^\s()\\]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*")'
    r"|(?P<number>\b\d[\w']*)"                             # 1'000 is not a character
    r"|(?P<char>'(?:\\.|[^'\\\n])+')", re.DOTALL)
HEAD_NOISE = re.compile(r"\balignas\s*\([^)]*\)|\[\[.*?\]\]|__attribute__\s*\(\(.*?\)\)", re.DOTALL)
CONTAINER = re.compile(r"^\s*(inline\s+)?(namespace|enum|extern)\b[^()]*$|^\s*TEST_SUITE\b"
                       r"|\b(struct|class|union)\b[^()]*$")
MEMBER_INITIALISER = re.compile(r"\)[\s\w]*:\s[^;]*[\w>]\s*$")


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def blank_comments(text, keep_text=False):
    """The text with comments as blanks, line for line; strings and characters too, unless kept."""
    def replace(match):
        if match["number"]:
            return match[0]
        if match["text"] or match["char"]:
            return match[0] if keep_text else '"' + blank(match[0][1:-1]) + '"'
        return blank(match[0])
    return TOKEN.sub(replace, text)


def blank_preprocessor(code):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: blank(match[0]), code,
                  flags=re.MULTILINE)


def closing(code, at):
    """Where the brace that opens at `at` closes."""
    depth = 0
    for position in range(at, len(code)):
        depth += {"{": 1, "}": -1}.get(code[position], 0)
        if depth == 0:
            return position
    return len(code) - 1


def body_kind(head, parentheses):
    """What a brace after this text opens."""
    if parentheses > 0 or MEMBER_INITIALISER.search(head):
        return "initialiser"
    head = HEAD_NOISE.sub("", head)
    if CONTAINER.search(head):
        return "container"
    return "function" if "(" in head and not head.rstrip().endswith("=") else "other"


def functions_of(code):
    """(name, first line, lines) of each outermost function; `code` has its comments blanked."""
    code = blank_preprocessor(code)
    head, head_at, parentheses, at = "", 0, 0, 0
    while at < len(code):
        char = code[at]
        if char == "{":
            kind = body_kind(head, parentheses)
            if kind != "container":
                end = closing(code, at)
                if kind == "function":
                    first = code.count("\n", 0, head_at) + 1
                    name = re.search(r"([\w~:]+|operator\W+)\s*\(", head)
                    yield (name[1] if name else "?"), first, code.count("\n", head_at, end) + 1
                at = end + 1
                head = head + "()" if kind == "initialiser" else ""
                continue
            head, parentheses = "", 0
        elif char in ";}" and parentheses <= 0:
            head, parentheses = "", 0
        else:
            parentheses += {"(": 1, ")": -1}.get(char, 0)
            if not head.strip() and not char.isspace():
                head, head_at = "", at
            head += char
        at += 1
