# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A command replaces what an earlier run of it made and listed, and nothing else."""

import json
import os
import stat

import pytest

from pourit_ros import files
from pourit_ros.errors import InputError
from pourit_ros.files import (
    MANIFEST,
    PARTIAL,
    check_file,
    replacing,
    result_folder,
    working_folder,
)


def tree(folder):
    """Every file below a folder with what it holds."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*') if p.is_file()
    }


def run(out, files, command='segment', **options):
    with result_folder(out, command, **options) as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)


def fail(out, context):
    """A run that writes and then raises."""
    with context as folder:
        ((folder or out) / 'x').write_text('half')
        raise RuntimeError


def test_results_move_into_a_new_folder_with_their_manifest(tmp_path):
    run(tmp_path / 'a' / 'out', {'x.csv': '1', 'bag/y.mcap': '2'})
    out = tmp_path / 'a' / 'out'
    listed = json.loads((out / MANIFEST).read_text())
    assert listed['command'] == 'segment'
    assert set(listed['files']) == {'x.csv', 'bag/y.mcap'}
    assert set(tree(out)) == {'x.csv', 'bag/y.mcap', MANIFEST}
    assert [p.name for p in (tmp_path / 'a').iterdir()] == ['out']


def test_a_failed_run_leaves_nothing(tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(RuntimeError):
        fail(out, result_folder(out, 'lift'))
    assert not out.exists()
    out.mkdir()
    with pytest.raises(RuntimeError):
        fail(out, result_folder(out, 'lift'))
    assert out.is_dir()
    assert not list(out.iterdir())


@pytest.mark.parametrize('folder', [result_folder, working_folder])
def test_an_interruption_while_a_folder_is_made_leaves_none(tmp_path, monkeypatch, folder):
    def interrupt(*_):
        raise KeyboardInterrupt

    # The last step before the block begins, for either.
    monkeypatch.setattr(files, '_clear_partials', interrupt)
    monkeypatch.setattr(files.Manifest, 'write', interrupt)
    with pytest.raises(KeyboardInterrupt), folder(tmp_path / 'out', 'train'):
        pass
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize('name', ['thesis.tex', 'bag/notes.txt', '.hidden'])
def test_a_folder_with_anything_else_is_refused(tmp_path, overwrite, name):
    out = tmp_path / 'out'
    for before in ({}, {'x.csv': '1', 'bag/y': '2'}):
        if before:
            (out / name).unlink()
            run(out, before) if not any(p for p in out.rglob('*') if p.is_file()) else None
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text('mine')
        held = tree(out)
        with pytest.raises(InputError, match=name):
            run(out, {'x.csv': 'new'}, overwrite=overwrite)
        assert tree(out) == held


def test_an_earlier_run_is_replaced_only_when_asked_to(tmp_path):
    out = tmp_path / 'out'
    run(out, {'a.png': '1', 'sub/b.png': '2'})
    held = tree(out)
    with pytest.raises(InputError, match='--overwrite'):
        run(out, {'c.png': '3'})
    assert tree(out) == held
    run(out, {'c.png': '3'}, overwrite=True)
    assert set(tree(out)) == {'c.png', MANIFEST}
    assert not (out / 'sub').exists()


def test_a_result_that_was_edited_is_not_replaced(tmp_path):
    out = tmp_path / 'out'
    run(out, {'marks.csv': 'proposed'}, command='collect')
    (out / 'marks.csv').write_text('corrected by hand')
    with pytest.raises(InputError, match=r'marks\.csv was changed'):
        run(out, {'marks.csv': 'proposed'}, command='collect', overwrite=True)
    assert (out / 'marks.csv').read_text() == 'corrected by hand'


def test_an_overwriting_run_that_fails_changes_nothing(tmp_path):
    out = tmp_path / 'out'
    run(out, {'a': '1'})
    held = tree(out)
    with pytest.raises(RuntimeError):
        fail(out, result_folder(out, 'lift', overwrite=True))
    assert tree(out) == held


def test_a_file_added_meanwhile_is_kept(tmp_path):
    out = tmp_path / 'out'
    with result_folder(out, 'lift') as folder:
        (folder / 'a').write_text('ours')
        (out / 'b').write_text('theirs')
    assert (out / 'b').read_text() == 'theirs'
    other = tmp_path / 'other'

    def interfere():
        with result_folder(other, 'lift') as folder:
            (folder / 'a').write_text('ours')
            (other / 'a').write_text('theirs')

    with pytest.raises(InputError, match='a was written there'):
        interfere()
    assert tree(other) == {'a': b'theirs'}


@pytest.mark.parametrize(
    ('given', 'out', 'why'),
    [
        ('exp/bag', 'exp', 'holds the input'),
        ('exp/bag', 'exp/bag', 'is an input'),
        ('exp/bag', 'exp/bag/', 'is an input'),
        ('exp/bag', 'exp/bag/out', 'lies in the input'),
        ('exp/bag', 'exp/bag/../bag/x/y', 'lies in the input'),
        ('exp/bag/rgb.png', 'exp/bag', 'holds the input'),
        ('exp/bag', 'link', 'is an input'),
        ('link', 'exp/bag/out', 'lies in the input'),
    ],
)
@pytest.mark.parametrize('overwrite', [False, True])
def test_inputs_are_safe(tmp_path, monkeypatch, given, out, why, overwrite):
    (tmp_path / 'exp' / 'bag').mkdir(parents=True)
    (tmp_path / 'exp' / 'bag' / 'rgb.png').write_text('recording')
    (tmp_path / 'link').symlink_to(tmp_path / 'exp' / 'bag')
    monkeypatch.chdir(tmp_path)
    for place in (type(tmp_path)(out), tmp_path / out):
        with pytest.raises(InputError, match=why):
            run(place, {'x': '1'}, inputs=[given], overwrite=overwrite)
    assert tree(tmp_path / 'exp') == {'bag/rgb.png': b'recording'}


def test_the_current_folder_may_not_hold_the_input(tmp_path, monkeypatch):
    (tmp_path / 'a.png').write_text('1')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match='holds the input'):
        run(type(tmp_path)('.'), {'x': '1'}, inputs=['a.png'])


def test_names_of_weights_are_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(type(tmp_path)('default'), {'x': '1'}, inputs=['default'])


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b'caf\xe9.png')
    out = tmp_path / 'out'
    run(out, {name: '1'})
    with pytest.raises(InputError, match='--overwrite'):
        run(out, {name: '2'})
    run(out, {name: '3'}, overwrite=True)
    assert (out / name).read_text() == '3'


def test_what_a_killed_run_left_is_cleared_and_a_run_at_work_respected(tmp_path):
    out = tmp_path / 'out'
    (out / f'{PARTIAL}999999999').mkdir(parents=True)
    (out / f'{PARTIAL}999999999' / 'half').write_text('1')
    run(out, {'x': '1'})
    assert set(tree(out)) == {'x', MANIFEST}
    (out / f'{PARTIAL}{os.getppid()}').mkdir()
    with pytest.raises(InputError, match='another run'):
        run(out, {'x': '2'}, overwrite=True)


def test_a_damaged_manifest_is_refused(tmp_path):
    out = tmp_path / 'out'
    run(out, {'x': '1'})
    (out / MANIFEST).write_text('{')
    with pytest.raises(InputError, match='damaged'):
        run(out, {'x': '2'}, overwrite=True)


def test_working_folders_are_resumed_by_their_own_command(tmp_path):
    out = tmp_path / 'run'
    with pytest.raises(RuntimeError):
        fail(out, working_folder(out, 'train'))
    with working_folder(out, 'train'):
        (out / 'weights').write_text('2')
    assert set(json.loads((out / MANIFEST).read_text())['files']) == {'x', 'weights'}
    with pytest.raises(InputError, match='train'), working_folder(out, 'synth'):
        pass
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'a').write_text('1')
    with pytest.raises(InputError, match='did not make'), working_folder(tmp_path / 'mine', 'x'):
        pass
    with pytest.raises(RuntimeError), working_folder(tmp_path / 'new', 'synth'):
        raise RuntimeError
    assert not (tmp_path / 'new').exists()


def test_single_files(tmp_path):
    path = tmp_path / 'f.json'
    check_file(path)
    old = os.umask(0o027)
    try:
        with replacing(path) as partial:
            descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600)
            os.close(descriptor)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(InputError, match='--overwrite'):
        check_file(path)
    check_file(path, overwrite=True)
    with pytest.raises(InputError, match='is an input'):
        check_file(path, [path], overwrite=True)
    check_file(tmp_path / 'a' / 'b')
    with pytest.raises(InputError, match='is a folder'):
        check_file(tmp_path)
