"""The files that NIST's programs score against, looked at before they are used.

Those programs pass over most of what is wrong: times that are no numbers make segments that nothing
is scored in, and a rule that does not parse ends with an error about something else. So both are
checked here, line by line.

stm, what was said: data/stm.py. Labels may be others than its header declares: they make groups in
NIST's reports, and count nothing here.

glm, which words count as the same:

    ;; a comment
    * name "..."                                    settings; max_nrules: how many rules may come
    word or words  =>  what they become  / [ ] __ [ ]                   ;; a comment

with alternatives between braces, `{we are / we were}`, and behind the slash what must stand around
the words, `__`.
"""

from __future__ import annotations

import re
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.data.stm import COMMENT, read_stm
from chainstitch.utils.errors import UserError

_MOST_RULES = re.compile(r"\*\s*max_nrules\s*=\s*'?\s*(\d+)")

NO_RULES = f"""{COMMENT} no rules
* name "none"
* desc "no word is another"
* format = 'NIST1'
* copy_no_hit = 'T'
* case_sensitive = 'F'
{COMMENT}
chainstitch-never-said => chainstitch-never-said
"""


def check_stm(path: Path | str) -> set[tuple[str, str]]:
    """Every (file, channel) that an stm has segments of.

    Raises:
        UserError: it is missing, a line is none of an stm, or there is no segment; names the line.
    """
    try:
        found = {(line.file, line.channel) for line in read_stm(path, any_label=True)}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; wanted the reference, an stm") from None
    if not found:
        raise UserError(f"{path} holds no segments, so there is nothing to score against")
    return found


def check_glm(path: Path | str) -> int:
    """The number of rules of a glm.

    Raises:
        UserError: it is missing or has no rule, or one does not parse; names the line.
    """
    most, rules = 0, 0
    try:
        for number, line in texts.numbered(path):
            bare = line.strip()
            if setting := _MOST_RULES.match(bare):
                most = int(setting[1])
            if not bare or bare.startswith((COMMENT, "*")):
                continue
            if fault := _fault(bare.split(f" {COMMENT}")[0]):
                raise UserError(
                    f"{path}:{number}: the rule {bare[:80]!r} {fault}; wanted: words => words "
                    "[/ [ ] __ [ ]]"
                )
            rules += 1
            if most and rules > most:
                raise UserError(
                    f"{path}:{number}: this is rule {rules}, and max_nrules allows {most}; raise it"
                )
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; wanted a glm, or no --glm") from None
    if not rules:
        raise UserError(f"{path} holds no rules; leave --glm out where there are none")
    return rules


def _fault(rule: str) -> str:
    """Why this is no rule; empty if it is one."""
    left, arrow, right = rule.partition("=>")
    if not arrow:
        return "has no =>"
    if not left.strip("[] \t"):
        return "has nothing before =>"
    if right.count("{") != right.count("}"):
        return "has a { without its }"
    beyond = re.sub(r"\{[^{}]*\}", "", right).partition(" / ")
    if beyond[1] and "__" not in beyond[2]:
        return "has no __ behind the slash"
    return ""
