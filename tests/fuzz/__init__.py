"""Fuzzing of what reads savefiles: `run` explores under AddressSanitizer, the tests repeat.

target.py drives the code with one input and holds what must be true of every input; model.py
says what a classic savefile can give, from the format's description alone; trial.py reads from
the end of an input how the code is driven; seeds.py makes the first inputs. campaign.py builds
the instrumented copy, around harness.c, and runs libFuzzer on it.
"""
