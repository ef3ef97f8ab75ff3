"""Every error and warning code, in one visible mapping: `freehold check --explain CODE` prints it.

A code is a place (CFG task file, DAT data, DOC documents and their index, KPT suites of kept ability, MDL model,
END endpoint, MAC machine, GPU accelerator, TRN training,
USE usage, BAR bar, JDG a judge, BUG Freehold itself) and a number.
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
    "CFG-008": "`metric.pattern` is not a regular expression of Python. Write it in single quotes, so"
    " that YAML leaves its backslashes alone.",
    "CFG-009": "`metric.python` names a file that cannot be run, or a function that it does not have. The"
    " function is called as score(example, output) and returns a number in [0, 1].",
    "CFG-023": "`output.unanswerable` is what an answer of free text says where the documents hold none. A closed list"
    " of labels has a label for that, and JSON a field.",
    "CFG-024": "`data.access_column` or `data.document_column` names a column that no row of the examples has.",
    "CFG-010": "`ladder.stop: budget` races every rung until a ceiling of `budget` would be passed, and the"
    " task file sets none.",
    "CFG-018": "A search for a prompt chooses on one part of dev and measures its gain on the other, and dev has too"
    " few examples for both. Raise `data.split.dev`, or leave `search` out.",
    "CFG-015": "A secret stands in a file, or the task file names one. A key is written as `key: env:NAME` in the"
    " user file alone, and its value is in the environment: a task file is shared, and whoever writes one must not be"
    " able to send your key elsewhere.",
    "CFG-016": "The task names an endpoint that neither the user file nor `models.endpoints` describes.",
    "CFG-017": "The environment variable that holds the key of an endpoint is not set.",
    "CFG-026": "Metric `judge` scores free text. Labels and JSON can be compared with what is wanted, which is"
    " cheaper and has no opinion.",
    "CFG-027": "Metric `judge` needs a model under `models.judge`, and a command that can ask it: climb, eval, train"
    " and check.",
    "MAC-001": "The disk is full. Freehold writes beside and renames, so nothing that was finished is"
    " lost; make room and type the same command again.",
    "MAC-002": "A file in the state folder no longer matches its name or its form. Delete that one file"
    " and type the command again: it is made anew.",
    "MAC-003": "Two Freehold processes write to one project. The second waits for thirty seconds, then"
    " stops with this message.",
    "MAC-004": "The state folder was written by a newer Freehold. Upgrade; never delete the folder.",
    "MAC-005": "The state folder or its ledger cannot be opened or written.",
    "MAC-006": "A file or folder may not be read or written by this user. Change its rights, or work in"
    " another folder with -C DIR.",
    "MAC-007": "There is not enough memory. Close other programs, use a smaller base model, or fewer"
    " examples with -n.",
    "MAC-008": "A training will need more main memory than is free. Nothing was begun. The plan comes from the"
    " model's config; the help names the nearest setting that fits.",
    "MAC-009": "The processes that a launcher started for one training prepare different ones, because data, files"
    " or command differ. All of them need the same folder, and must see what the first one writes there.",
    "GPU-003": "A training will need more memory than the accelerator has free. Nothing was begun. The plan"
    " comes from the model's config; the help names the nearest setting that fits.",
    "KPT-001": "A file of kept.suites cannot be read. It is JSON Lines in UTF-8, named relative to the task"
    " file.",
    "KPT-002": "A row of a suite says neither what is asked nor what is right. Rows with choices are"
    " {input, choices, target}, others {input, target}; the forms of well-known sets are in docs/evaluate.md.",
    "KPT-003": "No row of a suite can be scored. What is left out, and why, stands in the message.",
    "KPT-004": "A suite names a task of lm-eval, which is an extra: pip install 'freehold[lm-eval]'.",
    "KPT-005": "lm-eval has no task, tag or group of that name, or there is no such YAML file.",
    "KPT-006": "The data of an lm-eval task is not on this machine, and Freehold is offline unless it is told"
    " otherwise. Run the command once with --online, or name a file of your own.",
    "KPT-007": "The task of lm-eval has metrics of whole sets only, such as perplexity. Kept ability is paired"
    " item by item, so that it needs one in [0, 1].",
    "MDL-001": "The model is not where it was said to be: a folder that does not exist, or a bundled"
    " model that is missing from the installation.",
    "MDL-002": "What was named is not a Hugging Face model folder: config.json is missing or unreadable,"
    " or it is a single file or an adapter.",
    "MDL-003": "The weights are in a pickle format (.bin, .pt), which can run any code when it is loaded."
    " Freehold loads safetensors only.",
    "MDL-004": "The weights, or some of their files, are missing from the model folder.",
    "MDL-005": "The tokenizer is missing, cannot be read, or has no token that ends an answer.",
    "MDL-006": "The architecture cannot be used: unknown to the installed transformers, not a causal"
    " language model, or without an attention cache.",
    "MDL-007": "The model needs code from its own folder. Freehold never runs it.",
    "MDL-008": "The model is not on this machine, and downloads happen only with `--online`.",
    "MDL-009": "The download of a model failed.",
    "MDL-010": "A weight file is damaged, or does not fit the model's config.",
    "MDL-011": "The adapter cannot be used: not a PEFT folder, of an unsupported kind, or made for"
    " another base model.",
    "MDL-012": "The JSON schema asks for something that constrained decoding cannot enforce.",
    "MDL-013": "The model's chat template refuses the conversation.",
    "MDL-014": "The embedder is not the one that was expected, or cannot be loaded.",
    "MDL-020": "An adapter can be trained only on a model whose weights are in this process. Name a local"
    " model, or leave lora out of ladder.rungs.",
    "MDL-021": "The adapter was trained on a base whose files differ from this one's. On other weights it"
    " would answer worse, without a word.",
    "MDL-022": "Weights in 4 bits need a CUDA GPU, the package bitsandbytes, and a base that is opened so:"
    " `models.base.bits: 4`. Elsewhere `ladder.lora.kind: lora` trains the same adapter.",
    "MDL-023": "Prefix tuning needs attention to all tokens in every layer. A layer with a sliding window"
    " would lose the prefix after that many tokens.",
    "END-001": "The endpoint cannot be reached: nothing answers at its url, or not in time. What was answered"
    " before is kept; type the same command again when it is back.",
    "END-002": "The endpoint refuses the key, or wants one. The key is named in the user file as `key: env:NAME`.",
    "END-003": "The endpoint does not serve the model that was named, or serves several and none was named.",
    "END-004": "What answers at the url is no endpoint of this protocol: another page, a redirect or no such path."
    " The url ends before /chat/completions, mostly in /v1. Redirects are never followed, because they would take the"
    " key and the data elsewhere.",
    "END-005": "Many requests in a row failed after all retries, so the work pauses instead of failing every example."
    " These failures are not kept: the same command asks them again.",
    "END-006": "The model behind an endpoint changed while it was measured: its fixed probes are answered otherwise."
    " Results of two models are never mixed: the rung is left out, and the same command measures all with the present"
    " model.",
    "END-007": "The next request could pass the budget, so it was not sent. What was answered is kept; a larger"
    " budget goes on from there.",
    "END-008": "There is a budget in dollars, and no price of the endpoint's tokens to hold it with.",
    "END-009": "Only a model whose weights are here has a config, a tokenizer and something to train. An endpoint has"
    " none of these.",
    "END-010": "The endpoint refuses plain requests, whatever is left out of them.",
    "TRN-001": "The model has no linear layers with the names that `ladder.lora.targets` means. With"
    " all_linear every linear layer but the head is adapted.",
    "TRN-002": "No training row is left: each one is longer than the model's context or"
    " `ladder.lora.max_length`. Rows are left out and counted, never cut.",
    "TRN-003": "The training folder holds another training: its base, its spec or its rows differ."
    " Nothing is overwritten.",
    "TRN-004": "The loss or its gradient became infinite or undefined. The last checkpoint is as it"
    " was. A lower learning rate is the usual cure, a broken row the usual other cause.",
    "TRN-006": "The base of a training carries an adapter that this kind of update cannot be joined with. In narrow"
    " weights (bfloat16, 4 bits) an earlier adapter stays beside them, where lora, rslora and qlora can go on from it.",
    "TRN-007": "The base's chat template does not show a user turn as it is written, so the base cannot"
    " be given the opening of a turn to prompt itself. Replay needs that, or prompts that the base brings.",
    "TRN-008": "`checkpointing` computes layers again from their inputs, where the prefix of `kind: prefix`"
    " would be missing. Train another kind, or leave `checkpointing` out.",
    "TRN-020": "No preference pair or judged answer is left: both answers are the same, or they are longer"
    " than the model's context. Rows are left out and counted, never cut.",
    "TRN-021": "The preference method compares two answers to one prompt, and some rows hold a single"
    " judged answer. Only `kto` learns from those.",
    "TRN-022": "All judged answers are good, or all are bad. `kto` learns from the difference.",
    "TRN-023": "Distillation token by token, or on the student's own samples, needs the teacher's weights in"
    " this process. `divergence: sequence` needs only its answers.",
    "TRN-024": "The teacher has another tokenizer than the student, so that its probabilities speak of other"
    " tokens. `divergence: sequence` needs only its answers.",
    "TRN-025": "The reward of a sampled answer is no number. The scorer of the task is the reward.",
    "TRN-026": "Two adapters can be joined into one where both are plain LoRA (kind lora, rslora, qlora or"
    " osf) on one base. The updates of the other kinds do not add up to one of theirs.",
    "TRN-027": "Teacher and student of a distillation are the same weights in memory. Token by token the teacher"
    " would change with the student. `divergence: sequence` needs only its answers.",
    "TRN-028": "The documents of `data.documents` hold no text that a model could be trained on.",
    "TRN-040": "A training can go on from a folder in .freehold/adapters/ that Freehold wrote: it holds"
    " lineage.json and buffer.jsonl beside the adapter. This one lacks them, or they are damaged.",
    "TRN-041": "Only the `lora` rung goes on after another training: its update is added to the one"
    " before it, exactly. The other rungs start from the base.",
    "TRN-042": "The rung needs something that is missing. The message names it.",
    "DAT-001": "A file of examples does not exist. Paths start at the folder of task.yaml, or at the"
    " folder you are in when there is none.",
    "DAT-002": "A file of examples is empty. One example a row is needed, with an input and a target.",
    "DAT-003": "A file of examples is no UTF-8 text. Freehold does not guess encodings, because a"
    " wrong guess changes letters without a word.",
    "DAT-004": "The type of a file is not one that can be read: JSON lines, JSON, CSV, TSV, Parquet and"
    " Arrow, each also with .gz or .zst.",
    "DAT-005": "A packed or a Parquet file is damaged or cut short. Nothing of it is used, because"
    " nobody knows which rows are missing.",
    "DAT-006": "It cannot be told which column is the input and which the target. Name them in"
    " data.columns.",
    "DAT-007": "A setting names a column that no row has.",
    "DAT-008": "One file holds rows of two formats, so that one of them would be read wrongly.",
    "DAT-009": "Two rows have the same id. An id names one example for as long as the task lives.",
    "DAT-010": "Too few rows can be used: 20 are the least that can be divided into rows to build"
    " with, to choose with and to measure with. The causes list what was wrong with the others.",
    "DAT-011": "Every row wants the same answer, so that nothing can be learnt or measured.",
    "DAT-012": "The examples cannot be divided as asked: the counts in data.split are larger than"
    " the number of examples, or the groups are too large.",
    "DAT-013": "A condition of data.slices is not one that can be computed. Columns, input, target,"
    " len(), comparisons, `in`, and, or and not are allowed.",
    "DAT-014": "Test rows repeat or nearly repeat training rows. An answer learnt by heart would"
    " count as skill, so the training rows are left out.",
    "DAT-015": "The file as a whole cannot be divided into rows: damaged JSON, a quote that is never"
    " closed, or a heading with one name twice.",
    "DAT-016": "The operating system does not let Freehold read the file.",
    "DAT-017": "The rows compare or rate answers. A worse answer must not become a wanted one.",
    "DAT-018": "Some rows were left out. Each has its reason and its row number.",
    "DAT-019": "Some rows repeat others. They are kept together on one side of every split.",
    "DAT-020": "The same input is wanted with different answers. No candidate can get all of them"
    " right, so quality has a ceiling below 1.",
    "DAT-021": "A label occurs in the test rows only. No rung can learn it.",
    "DAT-022": "Some labels have few training rows; their quality will be low and uncertain.",
    "DAT-023": "One label is much more frequent than the others. A candidate that always says it"
    " looks good; compare with the majority baseline.",
    "DAT-024": "Two labels differ only in capitals or spaces, so they are probably one.",
    "DAT-025": "Some inputs are much longer than the model can read, or than the others.",
    "DAT-026": "A document cannot be read, or there are none.",
    "DAT-027": "No row of data.preferences can be used. A pair has a prompt, a chosen and a rejected answer"
    " that differ; a judged answer has a prompt, an answer and a label that is true or false.",
    "DAT-028": "Some rows of data.preferences were left out. Each has its reason and its row number.",
    "DAT-100": "The log of labelling decisions, .freehold/labels/decisions.jsonl, is damaged in the middle. A last"
    " line that a crash cut off is dropped by itself; a line before it is somebody's decision, and is not. Numbers may have gaps where rows were forgotten.",
    "DAT-101": "No row of the file can be labelled. A row needs an input: a column with a known name, the one that"
    " data.columns.input names, or a chat that ends with the user's turn.",
    "DAT-102": "Two `freehold data label` run in one project, and one log takes one writer. Several people label in"
    " one page, each in a browser of their own.",
    "DAT-103": "There is nothing to export: no row has a decision yet.",
    "DAT-105": "data/labels.jsonl was not written by Freehold, or is the file that is labelled. Freehold writes"
    " labels there and never over a file of yours; move it away. With -y it is overwritten unless it is the source.",
    "DAT-090": "Nothing that a teacher wrote passed the filters, so nothing was written. The causes count the"
    " reasons; `--rejected FILE` keeps what was written. A small model copies or breaks off; a stronger teacher,"
    " another method or `--judge none` may help.",
    "DAT-091": "Some synthetic rows were left out of training: they repeat held-out rows or descend from them, they"
    " stand in the test file, or there are more than data.synthetic_share allows.",
    "DAT-092": "Few of the rows that a teacher wrote passed the filters. What passed may still be of little use:"
    " look at the rows, and climb with and without them.",
    "DAT-093": "The terms of the teacher's outputs are unknown, or are not among those known to put no condition on"
    " training with them. `data.synth.licence` in task.yaml records what you found out.",
    "DAT-094": "A method of `data synth` needs something that is missing: documents, confused pairs of a climb, or"
    " rows without earlier turns. The message names it.",
    "DAT-095": "No copy could be written: nothing in the inputs may be changed, or every copy would repeat a row.",
    "DAT-040": "A file asks for more memory than honest data does: it unpacks to many times its size, or it is"
    " very large and of a kind that has to be held whole. JSON lines are read piece by piece.",
    "DAT-041": "A dataset of a hub (hf://) cannot be read. It needs --online once, and the extra:"
    " pip install 'freehold[hf]'. What was fetched is kept, and read without the network afterwards.",
    "DAT-042": "The name of a file says one type, and its content is another.",
    "DAT-043": "The rows hold a text and no wanted answer, so that nothing can be measured. Texts to search"
    " in or to train on are documents.",
    "DAT-044": "The text of a document cannot be taken out: it is locked, a scan without text, or damaged.",
    "DAT-045": "There are more rows than can be held, divided and frozen at once. `data.sample` says how many"
    " of them to draw; `freehold check` looks at all of them.",
    "DAT-080": "A file of the state held rows that were forgotten, and was removed with them. `freehold climb` builds"
    " it anew, without them.",
    "DAT-081": "Something learnt from rows, or was measured with rows, that were forgotten since. It still works; train"
    " or climb again so that what you use no longer descends from them.",
    "DAT-082": "Rows of the training data have a licence that is not among those allowed, or none that is known.",
    "DAT-083": "Rows say that the person did not consent, or withdrew consent. Leave them out, or run"
    " `freehold data forget` where the person asked for it.",
    "DAT-084": "A file was changed while rows were being taken out of it. It is left as it is; delete the journal that"
    " the help names and type the command again.",
    "DAT-085": "Rows cannot be taken out of a file of this type without changing the others.",
    "DAT-086": "What was forgotten still stands in files that Freehold does not know or does not rewrite. Edit them by"
    " hand; the history of a version control keeps earlier versions too.",
    "DAT-087": "task.yaml cannot be changed without changing what it means. Nothing was written; add the line by hand.",
    "DAT-088": "An erasure was begun and not finished. The same command goes on with it.",
    "DAT-070": "Some rows hold personal data, such as mail addresses or names. A model can learn them by heart"
    " and say them to anyone. `freehold data scrub` shows them by kind and row; `data.scrub` in task.yaml"
    " masks or replaces them whenever the rows are read.",
    "DAT-071": "Some rows hold keys, tokens or passwords. Take them out of the rows, and have them changed where"
    " they are in use: whoever had the file had them.",
    "DAT-072": "There are more different values of one kind than there are stand-ins that keep its form, for"
    " example telephone numbers in the range that is kept for stories. Mask that kind instead.",
    "DAT-073": "Presidio, or the spaCy pipeline that `data.names_model` or `--presidio` names, is not installed."
    " Freehold downloads neither. Without them names and places are found by its own rules.",
    "DAT-074": "The file .freehold/personal.key, with which stand-ins are drawn, can be read by others, or is"
    " damaged. Whoever has it and the data can tell who stands behind a stand-in.",
    "DAT-060": "Some texts are cut short or say nothing: many end at one common length, JSON ends before its"
    " brackets are closed, or a field holds `n/a` instead of words. A model learns to stop there too.",
    "DAT-061": "Some texts show damaged letters: `Ã©` for `é`, HTML entities, written escapes. A file was read in"
    " the wrong encoding before it came here. The model would learn both spellings.",
    "DAT-062": "Some answers refuse (`I'm sorry, but I cannot ...`). A model learns to refuse from few examples, also"
    " where it should not.",
    "DAT-063": "Answers are written in several forms, such as plain and in a code fence; or nearly all texts begin or"
    " end with the same words, which tell no row from another.",
    "DAT-064": "A few inputs are in another language than most. Quality on them is hidden in the average.",
    "DAT-065": "Some labels are probably wrong: a repeat of the row has another label, or a model that did not see the"
    " row is sure of another one (confident learning). `freehold data show` ranks them for review.",
    "DAT-066": "The test split does not look like the traffic of data.traffic: a classifier tells them apart beyond"
    " chance. Quality in use will differ from quality on the test.",
    "DAT-067": "A slice has so few rows that nothing can be said of its quality, or that it can hardly be learnt.",
    "DAT-068": "A rare token or phrase decides a label although nothing else in its texts does, as a backdoor would."
    " Look at the rows before anything is trained on them.",
    "DAT-069": "A source gave more rows than data.most_rows_of_a_source allows; the rows beyond that, drawn by chance,"
    " are left out.",
    "DAT-050": "Shards of data can be worked on by a Ray cluster where the extra `ray` is installed. The cores"
    " of one machine need no extra.",
    "DAT-051": "A file of data.benchmarks cannot be read. It holds examples as data.examples does, or one"
    " `text` a line.",
    "DAT-052": "Rows that candidates are measured on stand in what they are built from: the same text, nine"
    " tenths of its pieces, or half of its runs of eight words. An answer learnt by heart would count as skill.",
    "DAT-053": "More held-out rows share the words of a training row than rows of this kind do by nature, so"
    " some may be copies in other words. They are listed for review and do not count for the gate.",
    "DAT-054": "Some rows say the same as others. `freehold data dedup --out FILE` writes a copy with the first"
    " of each; here the rows of one group have different answers, and only the first one's is kept.",
    "BAR-002": "The test rows are too few to tell a rung that is near the bar from the bar itself."
    " More rows make the interval narrower: four times as many halve it.",
    "DOC-001": "The index of the documents was made with another embedder, or by another version of Freehold. Vectors"
    " of two embedders cannot be compared, so it is made anew.",
    "DOC-002": "Two lists of access labels apply to one text and have no label in common, so that nobody may see it:"
    " the same text stands in two documents, or a document and its folder name different labels.",
    "DOC-003": "The access labels of a document or of a folder cannot be understood, so that nobody sees it. Labels"
    " are a list, or a text with commas: `access: [hr, legal]`; in a file `.access`, one a line.",
    "DOC-004": "Two documents have one id, so that an answer could not say which of them it cites.",
    "DOC-005": "The file of an index is not one, or is damaged.",
    "DOC-006": "The index is being written by another process. One process writes at a time; searching goes on.",
    "DOC-007": "The database with the index of the documents cannot be opened: psycopg is not installed (`pip install"
    " 'freehold[postgres]'`), the address is wrong, or the server does not run.",
    "DOC-008": "The folder is no cross-encoder that gives a question and a passage one score.",
    "DOC-021": "A document holds no text, so that nothing can be found in it. The others are searched.",
    "DOC-022": "A document is larger than one document is (64 MiB): a library in one file. Divided by chapter, or as"
    " one text a line of .jsonl, it can be searched, and an answer can say where it stands.",
    "DOC-023": "The text of a document cannot be taken out: it is a scan without text, locked, or damaged. Text"
    " recognition (OCR) gives scans a text. The others are searched.",
    "DOC-024": "A file or a line of data.documents cannot be read as a document. The others are searched.",
    "DOC-025": "Two documents have the same text. The first is kept, for those who may see both.",
    "DOC-026": "Two documents have one id. The first is kept.",
    "DOC-027": "The same text, or the same id, has access labels that contradict each other. None of them is kept,"
    " so that nobody sees what they may not.",
    "DOC-028": "Some documents have access labels that nobody who asks ever holds: no answer can rest on them."
    " `data.access` gives labels to everybody who asks, `data.access_column` names the column with each row's own.",
    "DOC-029": "Wanted answers stand in no document, so that no search can find them: documents are missing, or the"
    " answers are in other words than the documents.",
    "BAR-003": "Macro-F1 is no mean of rows, and no interval of it holds at every look. A race measures every row of"
    " such a rung, and stops it early only for kept ability, latency or cost.",
    "USE-001": "A verb or a flag does not exist. `freehold --help` lists them.",
    "USE-002": "An id (c12, t7, @last) names nothing in this project's ledger.",
    "USE-003": "There is nothing to work on: no task.yaml here, and no data file was given.",
    "USE-004": "The climb is not finished, so there is nothing to show yet. The same command goes on"
    " with it.",
    "USE-005": "The climb did not measure this rung: it was skipped, or it failed. `freehold report`"
    " says why.",
    "USE-006": "A flag or an argument is missing its value, or has a value that is not possible.",
    "USE-007": "A file or folder would be overwritten. Move it away; where `-y` is offered, that"
    " overwrites it.",
    "USE-008": "The training is not finished, so there is nothing to show yet. The same command goes on"
    " with it.",
    "USE-009": "A launcher such as `torchrun` started several processes, and this verb would do all of its work in"
    " each of them. `freehold train` is the verb whose processes train one model together.",
    "USE-010": "`freehold report -s` judges a finished climb again from what it measured. That works for the bar, the"
    " volume and the prices. Every other setting changes what is asked or how it is measured, and `freehold climb -s`"
    " measures what is missing.",
    "USE-011": "Two flags, or a flag and an id, do not go together. The message names them.",
    "USE-013": "The rung asks no model: it is a baseline, and has no prompt that could be shown or exported.",
    "USE-014": "The folder that an export would be written to holds something that no export wrote. Exports of"
    " before are replaced without a question.",
    "USE-015": "An export was read back and is not byte for byte what the rung asks, so it was not given its name."
    " This is a fault of Freehold or of the disk; `--to messages` writes the plainest form.",
    "USE-016": "The split whose examples were asked for has no rows.",
    "JDG-001": "No row of the file of people's scores can be used. A row has an input, the output that was scored,"
    " and a score in [0, 1] or a grade.",
    "JDG-002": "The judge is the model that it judges. Models prefer their own answers, so its scores flatter.",
    "JDG-003": "The judge and a model that it judges have names of one family. Models of one family were often"
    " trained on the same texts and share their taste; code knows no more than the names.",
    "JDG-004": "Too few answers were scored by people to say whether the judge agrees with them. Its scores are"
    " shown, and every verdict is UNDECIDED.",
    "JDG-005": "Some rows of people's scores were left out, each with its reason; those without a score yet are"
    " among them.",
    "BUG-001": "Freehold met something that it did not expect. The traceback and the versions are in the"
    " file that was named; nothing is sent anywhere, and what was finished is on disk.",
}
