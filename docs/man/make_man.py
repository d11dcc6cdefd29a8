#!/usr/bin/env python3
"""Writes the manual pages. Those of the calls come from vdset.h, the tools' from their own --help,
so that every fact is written once.

usage: make_man.py list HEADER                 names of the pages of section 3, one a line
       make_man.py calls HEADER README VERSION FOLDER
       make_man.py tool PROGRAM VERSION OUTPUT    the page has the output's name

Every call has its name as a page: the group's page, or a link to it.
"""
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests/parity"))
from vdset_header import parse  # noqa: E402

DATE = "November 25, 2026"


class Page:
    """A group of calls: its page's name and line, and what of the header belongs to it."""

    def __init__(self, name, line, calls="", constants="", structs=(), sections=()):
        self.name, self.line = name, line
        self.calls, self.constants = calls, constants
        self.structs, self.sections = structs, sections


PAGES = [
    Page("vdset", "virtual device sets in shared memory"),
    Page("vdset_library", "version, abilities and hooks of the library",
         r"vdset_(version|supports|library_.*)", r"(VERSION|LAYOUT|SUPPORT|LOG)_.*",
         ("vdset_allocator",), ("Hooks of the host program",)),
    Page("vdset_error", "result codes and their words", r"vdset_(error_name|last_error)",
         r"OK|E_.*", (), ("Result codes",)),
    Page("vdset_command", "commands, completion codes, features", "",
         r"COMMAND_.*|SUCCESS|ERROR_.*|FEATURE_.*", ("vdset_command",)),
    Page("vdset_set", "a client's side of a set",
         r"vdset_set_(create|open_in_secondary|get_configuration|open_device|close)",
         r".*_MAX|INFINITE|HANDLES_.*|DEATH_.*",
         ("vdset_config", "vdset_set_options", "vdset_join_options")),
    Page("vdset_device", "fetch and complete commands",
         r"vdset_device_(get_command|complete_command|interrupt)"),
    Page("vdset_descriptor", "wait for a set, a device or a server in an event loop",
         r"vdset_(set|device|server)_(get_descriptor|arm)", "", (), ("Pollable descriptors",)),
    Page("vdset_handle", "pass buffers between processes by number",
         r"vdset_(set|server)_(get_buffer|map_buffer|explain)_?handle"
         r"|vdset_(set|server)_describe_buffer", "", ("vdset_buffer",)),
    Page("vdset_abort", "end a set, and learn who ended it or was lost",
         r"vdset_(set|server)_(signal_abort|get_abort_reason|get_loss)",
         r"CALL_.*|LOSSES_KEPT|NAME_TEXT_BYTES",
         ("vdset_abort_reason", "vdset_loss")),
    Page("vdset_server", "a database engine's side of a set",
         r"vdset_server_(open|get_configuration|begin_configuration|end_configuration"
         r"|open_device|close)", "", ("vdset_base_configuration",)),
    Page("vdset_buffer", "buffers that all processes of a set share",
         r"vdset_server_(request_buffers|query_available_buffers|allocate_buffer|free_buffer"
         r"|is_shared_buffer)"),
    Page("vdset_completion", "learn what became of commands",
         r"vdset_server_(run_completion_agent|next_completion)"),
    Page("vdset_server_device", "send commands, close devices", r"vdset_server_device_.*"),
]


# ---- mdoc

def escape(text):
    text = text.replace("\\", "\\e")
    return "\\&" + text if text.startswith((".", "'")) else text


def prose(text):
    """Running text, a line for each sentence."""
    sentences = re.split(r"(?<=[A-Za-z0-9)\"'*][.?!]) +", " ".join(text.split()))
    return [escape(sentence) for sentence in sentences if sentence]


def lay_out(text):
    """A comment of the header: paragraphs, `  Key  words` items, and lines set as they stand."""
    out, state, words = [], "text", []

    def flush():
        if words:
            out.extend(prose(" ".join(words)))
            words.clear()

    def leave():
        flush()
        out.extend({"item": [".El"], "literal": [".Ed"]}.get(state, []))

    for line in text.split("\n"):
        item = re.match(r"  ([A-Z]\w+) +(\S.*)", line)
        if not line.strip():
            leave()
            state = "text"
            out.append(".Pp")
        elif item:
            if state != "item":
                leave()
                out.append('.Bl -tag -width "Processes"')
                state = "item"
            flush()
            out.append(f".It {item[1]}")
            words.append(item[2])
        elif line.startswith("  ") and state != "item":
            if state != "literal":
                leave()
                out.append(".Bd -literal -offset indent")
                state = "literal"
            out.append(escape(line[2:]))
        elif state == "literal":
            leave()
            state = "text"
            words.append(line)
        else:
            words.append(line)
    leave()
    return tidy_breaks(out)


def tidy_breaks(lines):
    """No break at an end, twice, or beside a list or display that makes one itself."""
    out = []
    for i, line in enumerate(lines):
        after = lines[i + 1] if i + 1 < len(lines) else ""
        if line == ".Pp" and (not out or out[-1] == ".Pp" or not after
                              or after.startswith((".Bl", ".Bd", ".Pp"))):
            continue
        out.append(line)
    while out and out[-1] == ".Pp":
        out.pop()
    return out


def head(name, section, line, version, names=()):
    out = [".\\\" Generated: see docs/man/make_man.py in the source.", f".Dd {DATE}",
           f".Dt {name.upper()} {section}", f".Os vdset {version}", ".Sh NAME"]
    every = [name, *(one for one in names if one != name)]
    out += [f".Nm {one}{' ,' if one != every[-1] else ''}" for one in every]
    return [*out, f".Nd {line}"]


# ---- Section 3

def members(header, page):
    calls = [call for call in header.calls if re.fullmatch(page.calls or "-", call.name)]
    constants = [one for one in header.constants
                 if re.fullmatch(page.constants or "-", one[0].removeprefix("VDSET_"))
                 and belongs(page, one[0])]
    structs = [struct for struct in header.structs if struct.name in page.structs]
    return calls, constants, structs


def belongs(page, constant):
    """Where two patterns match: the first page of the list has it."""
    matching = [one for one in PAGES
                if re.fullmatch(one.constants or "-", constant.removeprefix("VDSET_"))]
    return matching and matching[0] is page


def synopsis(calls):
    out = [".Sh SYNOPSIS", ".In vdset.h"]
    for call in calls:
        out += [f".Ft {call.result}", f".Fo {call.name}"]
        out += [f'.Fa "{argument}"' for argument in call.arguments or ["void"]]
        out.append(".Fc")
    return out


def describe_calls(calls):
    out = []
    for call in calls:
        out += [f".Ss {call.name}", *lay_out(call.comment)]
    return out


def describe_structs(structs):
    out = []
    for struct in structs:
        out += [f".Ss struct {struct.name}", *lay_out(struct.comment),
                ".Bl -tag -width Ds"]
        for kind, name, length, note in struct.fields:
            shown = kind if "(*" in kind else f"{kind} {name}".replace("* ", "*")
            out += [f".It Vt {shown}{'[' + length + ']' if length else ''}", *prose(note)]
        out.append(".El")
    return out


def describe_constants(constants):
    if not constants:
        return []
    out = [".Ss Constants", ".Bl -tag -width Ds"]
    for name, _, note in constants:
        out += [f".It Dv {name}", *prose(note)]
    return [*out, ".El"]


def standing_text(calls):
    kinds = {call.result for call in calls}
    if "int32_t" not in kinds:
        return []
    return [".Sh RETURN VALUES",
            "Calls of type", ".Vt int32_t", "return", ".Dv VDSET_OK",
            "or one of the negative codes of", ".Xr vdset_error 3 ,",
            "unless the call's own words say otherwise;",
            "what holds for every call is said in", ".Xr vdset 3 ."]


def see_also(page):
    others = sorted(one.name for one in PAGES if one is not page)
    out = [".Sh SEE ALSO"]
    out += [f".Xr {name} 3{' ,' if name != others[-1] else ''}" for name in others]
    return out


def overview(header, readme, version):
    page = PAGES[0]
    example = re.search(r"^```c\n(.*?)^```", Path(readme).read_text(encoding="utf-8"),
                        re.M | re.S)[1]
    out = head(page.name, 3, page.line, version)
    out += [".Sh SYNOPSIS", ".In vdset.h", ".Pp",
            ".Li cc program.c $(pkg-config --cflags --libs vdset)",
            ".Sh DESCRIPTION", *lay_out(header.preamble.split("\n\n", 1)[1])]
    out += [".Ss Pages", ".Bl -tag -width vdset_server_device"]
    for one in PAGES[1:]:
        out += [f".It Xr {one.name} 3", one.line]
    out += [".El", ".Sh EXAMPLES", "A backup, both roles in one program:", ".Bd -literal"]
    out += [escape(line) for line in example.rstrip("\n").split("\n")]
    return [*out, ".Ed", *see_also(page)]


def call_page(header, page, version):
    calls, constants, structs = members(header, page)
    words = [line for title, text in header.sections if title in page.sections and text
             for line in [*lay_out(text), ".Pp"]]
    callbacks = [one for one in header.callbacks if one[0] in
                 {"vdset_library": ["vdset_log"], "vdset_command": ["vdset_completion"]}.get(
                     page.name, [])]
    out = head(page.name, 3, page.line, version, [call.name for call in calls])
    out += [*synopsis(calls), ".Sh DESCRIPTION", *tidy_breaks(words), *describe_calls(calls)]
    for name, declaration, comment, _ in callbacks:
        out += [f".Ss {name}", f".Li {declaration}", ".Pp", *lay_out(comment)]
    out += [*describe_structs(structs), *describe_constants(constants)]
    return [*out, *standing_text(calls), *see_also(page)]


def check_complete(header):
    """Every call, constant and struct on exactly one page."""
    for kind, every, index in (("call", [one.name for one in header.calls], 0),
                               ("constant", [one[0] for one in header.constants], 1),
                               ("struct", [one.name for one in header.structs], 2)):
        found = [one if isinstance(one, str) else one[0] if isinstance(one, tuple) else one.name
                 for page in PAGES for one in members(header, page)[index]]
        for name in every:
            if found.count(name) != 1:
                sys.exit(f"make_man.py: {kind} {name} is on {found.count(name)} pages, not on one: "
                         "see PAGES")


def page_names(header):
    names = [page.name for page in PAGES]
    return names + [call.name for call in header.calls if call.name not in names]


def write_calls(header, readme, version, folder):
    check_complete(header)
    for page in PAGES:
        lines = overview(header, readme, version) if page is PAGES[0] else \
            call_page(header, page, version)
        (folder / f"{page.name}.3").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for call in members(header, page)[0]:
            if call.name != page.name:
                (folder / f"{call.name}.3").write_text(f".so man3/{page.name}.3\n",
                                                       encoding="utf-8")


# ---- Section 1

def help_of(program, *words):
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


def literal(text):
    return [".Bd -literal", *[escape(line) for line in text.strip("\n").split("\n")], ".Ed"]


def write_plain_tool(program, version, output):
    """For a help of `usage: NAME words`, a paragraph that says what it is, and the options."""
    usage, about, rest = help_of(program).split("\n\n", 2)
    line = about.split("\n")[0].rstrip(".")
    page = Path(output).stem
    out = head(page, 1, line[0].lower() + line[1:], version)
    out += [".Sh SYNOPSIS", f".Nm {Path(program).name}", ".Op Ar options", ".Sh DESCRIPTION"]
    out += [*prose(about), *literal(rest), ".Sh SEE ALSO", ".Xr vdset 1 ,", ".Xr vdset 3"]
    if not usage.startswith("usage: "):
        sys.exit(f"make_man.py: the help of {program} is not understood")
    Path(output).write_text("\n".join(out) + "\n", encoding="utf-8")


def write_tool(program, version, output):
    name = Path(program).name
    general = help_of(program)
    if "Usage:" not in general:
        return write_plain_tool(program, version, output)
    about, rest = general.split("Usage:", 1)
    line = about.strip().split("\n")[0].rstrip(".")
    line = line[0].lower() + line[1:]
    verbs = re.search(r"^Subcommands:\n((?:  .*\n)+)", rest, re.M)
    verbs = re.findall(r"^  (\w+) +(.*)$", verbs[1], re.M) if verbs else []
    codes = re.search(r"^Exit codes:\n((?:  .*\n)+)(.*)", general, re.M)
    out = head(name, 1, line, version)
    out += [".Sh SYNOPSIS"]
    for verb, _ in verbs or [("", "")]:
        out += [f".Nm {verb}".rstrip(), ".Op Ar options", ".Op Ar words"]
    out += [".Sh DESCRIPTION", *prose(" ".join(about.split("\n\n")[0].split())), ".Pp"]
    out += literal(about.split("\n\n", 1)[1]) if "\n\n" in about.strip() else []
    out += literal("Usage:" + rest.split("Exit codes:")[0]) if not verbs else []
    for verb, _ in verbs:
        text = help_of(program, verb).split("Exit codes:")[0]
        out += [f".Ss {name} {verb}", *literal(text)]
    if codes:
        out += [".Sh EXIT STATUS", ".Bl -tag -width Ds"]
        for number, words in re.findall(r"^  (\d+)  (.*)$", codes[1], re.M):
            out += [f".It {number}", *prose(words)]
        out += [".El", *prose(codes[2])]
    out += [".Sh SEE ALSO", ".Xr vdset 3"]
    return Path(output).write_text("\n".join(tidy_breaks(out)) + "\n", encoding="utf-8")


def main():
    verb, *words = sys.argv[1:]
    if verb == "tool":
        return write_tool(*words)
    header = parse(words[0])
    if verb == "list":
        return print("\n".join(page_names(header)))
    return write_calls(header, words[1], words[2], Path(words[3]))


main()
