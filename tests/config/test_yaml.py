# ruff: noqa: E501 - tables of what is tried
"""YAML that no configuration should be: every case ends in one message with its place, at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import yaml

from qsearch.config import bounds, load_config, to_yaml
from qsearch.config.yaml_reader import Dumper, parse_source
from qsearch.errors import ConfigError

GOOD = "dataset: {name: digits}\nmodel: {name: digits}\nlimit: {Conv2D: [4, 8, 4]}\n"


def refused(folder: Path, data: bytes | str, *overrides: str) -> str:
    path = folder / "c.yaml"
    path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    with pytest.raises(ConfigError) as error:
        load_config(path, overrides)
    return str(error.value).replace(str(path), "c.yaml")


LAUGHS = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"k{index}: &a{index} [{', '.join([f'*a{index - 1}'] * 9)}]\n" for index in range(1, 12)
)
MERGES = "a: &a0 {k: 1}\n" + "".join(
    f"k{index}: &a{index}\n  <<: [{', '.join([f'*a{index - 1}'] * 9)}]\n" for index in range(1, 12)
)
RUN = f"{GOOD}run: "
DEPTH = f"found more than {bounds.DEPTH} lists and sections inside each other"
VALUES = f"found more than {bounds.VALUES:,} keys and values, repeated ones counted each time"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b\0c", "c.yaml:1:5: not valid YAML: found the character 0x00, which a text file cannot have"),
        ("a: b\nc: \x1b[31m", "c.yaml:2:4: not valid YAML: found the character 0x1b"),
        (b"a: \xe9", "c.yaml: is not a text file (UTF-8): byte 3 is 0xe9; save it as UTF-8"),
        (b"\xff\xfea", "c.yaml: is not a text file (UTF-16): byte 2 is 0x61; save it as UTF-8"),
        ("", "c.yaml:1:1: file: is empty; start with 'dataset:' and 'model:'"),
        ("# a\n", "c.yaml:1:1: file: is empty"),
        ("- a", "c.yaml:1:1: file: found ['a'], expected sections such as 'dataset:' and 'model:'"),
        ("3", "c.yaml:1:1: file: found 3, expected sections"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1: not valid YAML: found a second document after '---', expected one"),
        ("[" * 10_000, f"c.yaml:1:{bounds.DEPTH + 1}: file: {DEPTH}"),
        ("{a: " * 10_000, f"c.yaml:1:{(bounds.DEPTH - 1) * 4 + 2}: file: {DEPTH}"),
        (LAUGHS, f"c.yaml:1:12: k5[0][3]: {VALUES}"),
        (MERGES, f"c.yaml:1:4: k5: {VALUES}"),
        ("limit: &a [*a]", "c.yaml:1:8: limit[0]: an alias that contains itself"),
        ("limit: &a\n  <<: *a", "c.yaml:1:8: limit: a merge of a section into itself"),
        ("limit: {<<: 3}", "c.yaml:1:13: limit: expected a section, or a list of sections, after '<<'"),
        ("a: *b", "c.yaml:1:4: not valid YAML: found undefined alias 'b'"),
        (f"{RUN}{{max_trials: !!int x}}", "c.yaml:4:19: run.max_trials: found 'x', which is no whole number; write"),
        (f"{RUN}{{alpha: !!float x}}", "c.yaml:4:14: run.alpha: found 'x', which is no number"),
        (f"{RUN}{{prune: !!bool maybe}}", "c.yaml:4:14: run.prune: found 'maybe', which is no true or false"),
        (f"{RUN}{{seed: !!int ''}}", "c.yaml:4:13: run.seed: found '', which is no whole number"),
        (f"{RUN}{{seed: !!python/object/apply:os.system ['echo']}}", "c.yaml:4:13: run.seed: found the tag "
         "!!python/object/apply:os.system, allowed: none"),
        (f"{RUN}{{seed: !!binary aGk=}}", "c.yaml:4:13: run.seed: found the tag !!binary, allowed: none"),
        (f"{RUN}{{frozen_layers: !!set {{a, b}}}}", "c.yaml:4:22: run.frozen_layers: found the tag !!set"),
        (f"{RUN}{{seed: !own 3}}", "c.yaml:4:13: run.seed: found the tag !own, allowed: none"),
        (f"{RUN}{{seed: {'9' * 5000}}}", "c.yaml:4:13: run.seed: found a number of 5,000 digits, allowed: up to "),
        (f"{RUN}{{seed: {2**53 + 1}}}", f"c.yaml:4:13: run.seed: found {2**53 + 1}, allowed: whole numbers up to "),
        (f"{RUN}{{seed: {2**32}}}", "c.yaml:4:13: run.seed: found 4294967296, must be <= 4294967295"),
        (f"{RUN}{{seed: 1, seed: 2}}", "c.yaml:4:16: run.seed: given twice; first at c.yaml:4:13"),
        (f"{RUN}{{yes: 1}}", "c.yaml:4:7: run: key True must be text; write 'yes' in quotes"),
        (f"{RUN}{{1.5: 1}}", "c.yaml:4:7: run: key 1.5 must be text"),
        (f"{RUN}{{? [a] : 1}}", "c.yaml:4:9: run: found a list or a section as a key, expected a text"),
        (f'{RUN}{{head_name: "a\\0"}}', "c.yaml:4:18: run.head_name: found 'a\\x00', which has the character 0x00; leave it out"),
        (f'{RUN}{{head_name: "\\uD800"}}', "c.yaml:4:18: run.head_name: found '\\ud800', which is no UTF-8; give it a name that is"),
        (f"{RUN}{{head_name: {'x' * 200_000}}}", "c.yaml:4:18: run.head_name: found a text of 200,000 characters, "
         "allowed: 100,000"),
        (f"{RUN}{{mode: {'x' * 90_000}}}", f"c.yaml:4:13: run.mode: found '{'x' * 199}... (90,000 characters), allowed: "),
        ("#" * 3_000_001, "c.yaml: file: found 3,000,001 characters, allowed: 3,000,000; a configuration holds settings"),
        (f"{RUN}{{seed: 1:30}}", "c.yaml:4:13: run.seed: found '1:30', expected a whole number"),
        (f"{RUN}{{seed: 2024-11-25}}", "c.yaml:4:13: run.seed: found '2024-11-25', expected a whole number"),
        (f"{RUN}{{alpha: .inf}}", "c.yaml:4:14: run.alpha: found inf, expected a finite number"),
        (f"{RUN}{{alpha: .nan}}", "c.yaml:4:14: run.alpha: found nan, "),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)  # fmt: skip
def test_one_message_for_each_mistake(tmp_path: Path, text: bytes | str, expected: str) -> None:
    told = refused(tmp_path, text).split("\n")
    found = [line for line in told if line.startswith(expected)]
    assert len(found) == 1, told
    if isinstance(text, str) and text.startswith(GOOD):
        assert len(told) == 1, told


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(f"{RUN}{{head_name: größe}}".encode(encoding))
    assert load_config(path).config.run.head_name == "größe"
    assert "c.yaml:1:1: dataset: is missing" in refused(tmp_path, "limit: {Conv2D: 3}".encode(encoding))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x10", 16), ("010", 8), ("0b11", 3), ("1_000", 1000), ("1e-5", 1e-5), ("1.5e3", 1500.0), (".5", 0.5), ("2.", 2.0),
        ("None", None), ("~", None), ("on", True), ("1:30", "1:30"), ("2024-11-25", "2024-11-25"), ("08", "08"),
        ("<<", "<<"), ("=", "="), ("!!str 5", "5"), ("!!float 5", 5.0), ("0b_", "0b_"), ("._", "._"),
    ],
)  # fmt: skip
def test_what_scalars_mean(text: str, value: object) -> None:
    found = parse_source(f"a: {text}", "c").data["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["1e5", "1e-5", "1:30", "2024-11-25", "None", "null", "010", "0x10", "0o7", "on", "~", "a #1", "=", "<<",
             ".inf", "1_0", "- a", "é", "a\nb", " a ", "%s", "1.", ".5", "+3", "!!int 3", "*a", "&a", "{a}", "0b1"],
)  # fmt: skip
def test_texts_are_written_so_that_they_stay_texts(text: str) -> None:
    assert parse_source(yaml.dump({text: [text]}, Dumper=Dumper), "c").data == {text: [text]}


def test_a_section_counts_before_what_it_merges() -> None:
    text = "a: &a {k: 1, l: 1}\nb: &b {k: 2, m: 2, <<: *a}\nc: {<<: [*b, *a], m: 3}\n"
    assert parse_source(text, "c").data["c"] == {"m": 3, "k": 2, "l": 1}
    data = parse_source(f"{text}d: {{<<: *a, <<: *b}}", "c").data
    assert data["d"] == {"k": 1, "l": 1, "m": 2}


def test_numbers_of_bits_are_keys(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    own = "{name: ours, float_mul: {16: 1.0, 0x20: 2}, float_add: {'32': 0.5}}"
    path.write_text(f"{GOOD}goal: {{type: energy, params: {{own_process: {own}}}}}", encoding="utf-8")
    config = load_config(path).config
    process = config.goal.params.own_process  # type: ignore[union-attr]
    assert (process.float_mul, process.float_add) == ({16: 1.0, 32: 2.0}, {32: 0.5})  # type: ignore[union-attr]
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(path).config == config


class TestFiles:
    def test_what_is_no_file(self, tmp_path: Path) -> None:
        for path, expected in (
            (tmp_path, "is a folder; name a YAML file in it"),
            (Path("/dev/zero"), "is a device, expected a YAML file"),
            (tmp_path / "c.yaml" / "d.yaml", "no such file"),
            (tmp_path / ("x" * 300), "cannot be read: File name too long"),
            (tmp_path / "a\0b", "no such file: embedded null byte"),
        ):
            with pytest.raises(ConfigError) as error:
                load_config(path)
            assert str(error.value).startswith(f"{path}: {expected}")

    def test_a_pipe_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pipe = tmp_path / "p.yaml"
        os.mkfifo(pipe)
        monkeypatch.setattr(bounds, "PIPE_SECONDS", 0.05)
        with pytest.raises(ConfigError, match=r"is a pipe from which nothing came for 0\.05 seconds"):
            load_config(pipe)
        monkeypatch.setattr(bounds, "PIPE_SECONDS", 30.0)
        writer = threading.Thread(target=pipe.write_text, args=(GOOD,))
        writer.start()
        assert load_config(pipe).config.dataset.name == "digits"
        writer.join()

    def test_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "c.yaml").write_text(GOOD, encoding="utf-8")
        assert load_config("~/c.yaml").config.run.output_dir == "runs/c"
        with pytest.raises(ConfigError, match=r"~nobody-of-this-name/c\.yaml: no such file"):
            load_config("~nobody-of-this-name/c.yaml")

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        path = tmp_path / os.fsdecode(b"caf\xe9.yaml")
        path.write_text(GOOD, encoding="utf-8")
        config = load_config(path).config
        assert config.run.output_dir == "runs/caf_"
        assert "runs/caf_" in to_yaml(config)


class TestOptions:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("run.max_trials", "--set 'run.max_trials': expected KEY=VALUE, e.g. --set run.max_trials=3"),
            ("=3", "--set '=3': expected KEY=VALUE"),
            ("a..b=3", "--set 'a..b=3': expected KEY=VALUE"),
            ("a.b.c=1", "--set a.b.c=1: a: unknown key, allowed: dataset, "),
            ("run={", "--set run:1:2: not valid YAML: expected the node content"),
            ("run.seed=#", "--set run.seed:1:1: file: found no value"),
            ("run.seed=", "--set run.seed=: run.seed: found None, expected a whole number"),
            ("run.seed=!!int x", "--set run.seed:1:1: run.seed: found 'x', which is no whole number"),
            ("run={seed: 1, seed: 2}", "--set run:1:11: run.seed: given twice; first at --set run:1:8"),
            ("dataset.name.x=1", "--set 'dataset.name.x=1': dataset.name holds 'digits', and no section to set 'x' in"),
            (".".join("a" * 50) + "=1", "--set 'a.a.a"),
            ("run.head_name=\x1b", "--set run.head_name:1:1: not valid YAML: found the character 0x1b"),
            ("run.head_name=\udcff", "--set run.head_name:1:1: not valid YAML: found the character 0xdcff"),
        ],
    )
    def test_set(self, tmp_path: Path, text: str, expected: str) -> None:
        told = refused(tmp_path, GOOD, text)
        assert told.startswith(expected)
        assert "\n" not in told

    @pytest.mark.parametrize("name", ["2024-11-25", "a #1", "None", "%s", ".", "~/runs", "{a}", "*", "1e5", "'x"])
    def test_output_dir_is_a_name(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "c.yaml"
        path.write_text(GOOD, encoding="utf-8")
        config = load_config(path, output_dir=name).config
        assert config.run.output_dir == name
        path.write_text(to_yaml(config), encoding="utf-8")
        assert load_config(path).config == config

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("", "--output-dir : run.output_dir: found an empty text"),
            ("a\udcff", "found 'a\\udcff', which is no UTF-8"),
        ],
    )
    def test_output_dir_that_is_none(self, tmp_path: Path, name: str, expected: str) -> None:
        path = tmp_path / "c.yaml"
        path.write_text(GOOD, encoding="utf-8")
        with pytest.raises(ConfigError) as error:
            load_config(path, output_dir=name)
        assert expected in str(error.value)
