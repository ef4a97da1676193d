"""Fuzzing of what reads hostile bytes: `run` explores under AddressSanitizer, the tests repeat.

Five targets: `savefile` (target.py: what reads savefiles), `flow` (flow_target.py: decoding,
defragmentation, reassembly and storing), `http` (http_target.py: messages and codings), `judge`
(judge_target.py: filters on what is known of packets), `index` (index_target.py: making and reading
sidecars). A target drives the code with one input and holds what must be true of every input;
trial.py and flow_trial.py read from the end of an input how the code is driven; model.py says what
a classic savefile can give, from the format's description alone. The seeds modules make the first
inputs. campaign.py builds the instrumented copy, around harness.c, and runs libFuzzer on it.
"""
