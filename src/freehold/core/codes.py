"""Every error and warning code, in one visible mapping: `freehold check --explain CODE` prints it.

A code is a place (CFG task file, DAT data, MDL model, MAC machine, USE usage, BAR bar) and a number.
A number is never given to another meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "CFG-001": "The task file holds a key that Freehold does not know. Unknown keys are refused,"
    " because a misspelt setting that is ignored is worse than an error. Use the suggested name.",
    "CFG-002": "The task file is not YAML 1.2. The caret marks where reading stopped; the usual"
    " causes are a missing quote, a tab, or a colon inside plain text.",
    "CFG-003": "A setting has the wrong type, for example text where a number is needed.",
    "CFG-004": "A setting is outside what is possible, for example a bar of 85 instead of 0.85.",
    "CFG-005": "A setting that is needed is missing. `freehold init FILE` writes a complete file.",
    "CFG-006": "A file that the task file points to does not exist or cannot be read.",
    "CFG-007": "Two settings contradict each other.",
    "MAC-001": "The disk is full. Freehold writes beside and renames, so nothing that was finished is"
    " lost; make room and type the same command again.",
    "MAC-002": "A file in the state folder no longer matches its name or its form. Delete that one file"
    " and type the command again: it is made anew.",
    "MAC-003": "Two Freehold processes write to one project. The second waits for thirty seconds, then"
    " stops with this message.",
    "MAC-004": "The state folder was written by a newer Freehold. Upgrade; never delete the folder.",
    "MAC-005": "The state folder or its ledger cannot be opened or written.",
    "USE-001": "A verb or a flag does not exist. `freehold --help` lists them.",
    "USE-002": "An id (c12, t7, @last) names nothing in this project's ledger.",
    "USE-003": "There is nothing to work on: no task.yaml here, and no data file was given.",
}
