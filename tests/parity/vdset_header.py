"""Reads abi/include/vdset.h into lists: what the table of parity, the stub libraries and the manual
pages are made from, so that the header is the one source.

The header is written in one style (tests/headers and .ci/tidy.py hold it to that); a line that says
VDSET_API, `#define VDSET_`, `struct vdset_` or `enum vdset_` and is not understood is an error.
"""
import re
import sys
from dataclasses import dataclass, field


@dataclass
class Call:
    name: str
    result: str       # int32_t, const char *, ...
    arguments: list   # As written: 'vdset_set *set', 'int64_t timeout_ns'.
    comment: str      # The comment just above, as plain text, line by line.
    section: str      # The title of the section it stands in.


@dataclass
class Struct:
    name: str
    comment: str
    section: str
    fields: list = field(default_factory=list)   # (type, name, array length or '', comment)


@dataclass
class Header:
    text: str
    preamble: str = ""
    calls: list = field(default_factory=list)
    structs: list = field(default_factory=list)
    enums: dict = field(default_factory=dict)    # Name: list of constants.
    constants: list = field(default_factory=list)  # (name, section, comment); numbers only.
    callbacks: list = field(default_factory=list)  # (name, declaration, comment, section)
    sections: list = field(default_factory=list)   # (title, words below it)


TITLE = re.compile(r"^/\* ---- (.+?) -{4,}")
BANNER = re.compile(r"^/\* ={20,}\n \* (.+?)\n \* ={20,} \*/", re.M)


def fail(line, why):
    sys.exit(f"vdset.h: {why}: {line.strip()}")


def plain(comment):
    """The text of a /* comment */, without stars and frame."""
    lines = comment.strip()[2:-2].split("\n")
    lines = [re.sub(r"^ \*(?: |$)", "", line).rstrip() for line in lines]
    return "\n".join(lines).strip()


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def split_arguments(text):
    """Splits at commas outside of parentheses."""
    out, depth, last = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            out.append(text[last:i])
            last = i + 1
    out.append(text[last:])
    out = [" ".join(word.split()) for word in out]
    return [] if out == ["void"] else out


def parse_call(statement, comment, section):
    match = re.match(r"VDSET_API\s+(.+?)\s*\b(\w+)\((.*)\)\s*$", " ".join(statement.split()))
    if not match:
        fail(statement, "a declaration that is not understood")
    return Call(match[2], match[1].strip(), split_arguments(match[3]), comment, section)


def parse_struct(text, comment, section):
    match = re.match(r"struct (\w+) \{(.*)\}\s*$", text, re.S)
    if not match:
        fail(text, "a struct that is not understood")
    struct = Struct(match[1], comment, section)
    body = re.sub(r"/\*.*?\*/", lambda m: m[0].replace(";", "\x01"), match[2], flags=re.S)
    position = 0
    for part in re.finditer(r"([^;]*);([^\S\n]*(/\*.*?\*/))?", body, re.S):
        declaration = " ".join(without_comments(part[1]).split())
        note = plain(part[3].replace("\x01", ";")) if part[3] else ""
        function = re.match(r"(.+?)\(\*(\w+)\)\((.*)\)$", declaration)
        plain_one = re.match(r"(.+?)(\w+)(?:\[(\w+)\])?$", declaration)
        if function:
            struct.fields.append((declaration, function[2], "", note))
        elif plain_one:
            struct.fields.append((plain_one[1].strip(), plain_one[2], plain_one[3] or "", note))
        else:
            fail(declaration, "a field that is not understood")
        position = part.end()
    if not struct.fields or without_comments(body[position:]).strip():
        fail(text, "a struct that is not understood")
    return struct


def parse(path):
    text = open(path, encoding="utf-8").read()
    header = Header(text)
    section, comment, i = "", "", 0
    banners = {match.start(): match for match in BANNER.finditer(text)}
    while i < len(text):
        if text.startswith("/*", i):
            end = text.index("*/", i) + 2
            if i in banners:
                comment, section = "", banners[i][1]
                header.sections.append((section, ""))
                i = banners[i].end()
                continue
            block = text[i:end]
            title = TITLE.match(block)
            if title:
                section = title[1]
                words = plain("/*" + block[title.end():])
                header.sections.append((section, words))
                comment = ""
            else:
                comment = plain(block)
                if not header.preamble:
                    header.preamble = comment
            i = end
        elif text.startswith("#", i):
            end = text.find("\n", i)
            while text[end - 1] == "\\":
                end = text.find("\n", end + 1)
            line = text[i:end]
            match = re.match(r"#define (VDSET_\w+)[ ]+([^/\n]+?)[ ]*(?:/\*(.*)\*/)?$", line)
            if match and match[1] != "VDSET_API":
                header.constants.append((match[1], section, (match[3] or "").strip()))
            elif re.match(r"#define VDSET_(?!H$|API\b)", line):
                fail(line, "a constant that is not understood")
            i = end
        elif text.startswith("VDSET_API", i):
            end = text.index(";", i)
            header.calls.append(parse_call(text[i:end], comment, section))
            comment, i = "", end + 1
        elif re.match(r"(struct|enum) \w+ \{", text[i:]):
            end = text.index("};", i)
            block = text[i:end + 1]
            if block.startswith("struct"):
                header.structs.append(parse_struct(block, comment, section))
            else:
                name = re.match(r"enum (\w+)", block)[1]
                names = re.findall(r"\b(VDSET_\w+) = ", without_comments(block))
                header.enums[name] = names
                header.constants += [(one, section, "") for one in names]
            comment, i = "", end + 2
        elif text.startswith("typedef", i):
            end = text.index(";", i)
            statement = " ".join(text[i:end].split())
            match = re.search(r"\(\*(\w+)\)\(", statement)
            if match:
                header.callbacks.append((match[1], statement + ";", comment, section))
            comment, i = "", end + 1
        else:
            i += 1
    counts = {"calls": (len(header.calls), text.count("\nVDSET_API")),
              "structs": (len(header.structs), len(re.findall(r"^struct \w+ \{", text, re.M))),
              "constants": (len(header.constants),
                            len(re.findall(r"^#define VDSET_(?!H$|API\b)", text, re.M))
                            + sum(len(names) for names in header.enums.values()))}
    for what, (found, due) in counts.items():
        if found != due or due == 0:
            sys.exit(f"vdset.h: {found} {what} understood of {due}")
    return header
