# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit segment` on the files that people have: good images are kept, the rest is told."""

import csv
import json
import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from pourit_ros.errors import InputError
from pourit_ros.formats.images import read_image, write_image
from pourit_ros.formats.media import find_media, frame_rate, missing_frames, video_frames


@pytest.fixture
def image():
    grey = np.linspace(0, 255, 64, dtype=np.uint8)
    across, down = np.tile(grey, (48, 1)), np.tile(grey[:48, None], (1, 64))
    return np.dstack([across, down, np.full_like(down, 90)])


def write_video(path, image, frames=6):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (64, 48))
    for _ in range(frames):
        writer.write(image)
    writer.release()


def stems(out):
    with (out / 'presence.csv').open(encoding='utf-8') as file:
        return [row['stem'] for row in csv.DictReader(file)]


def test_good_images_are_kept_and_the_rest_is_listed(pourit, tmp_path, image):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a.png', 'b.jpg'):
        write_image(folder / name, image)
    (folder / '._a.png').write_bytes(b'\x00\x05\x16\x07')
    (folder / 'broken.png').write_bytes(b'not an image')
    (folder / 'empty.jpg').write_bytes(b'')
    for name in ('photo.HEIC', 'anim.gif'):
        (folder / name).write_bytes(b'x')
    (folder / 'sub').mkdir()
    write_image(folder / 'sub' / 'c.png', image)
    out = tmp_path / 'out'
    status, said, err = pourit('segment', folder, '--out', out)
    assert status == 1
    assert stems(out) == ['a', 'b']
    assert 'broken.png: cannot be read' in err
    assert 'empty.jpg: cannot be read' in err
    for words in (
        '4 images in the input: 2 segmented',
        'lost 2',
        '.heic',
        '.gif',
        'hidden',
        '--recursive',
    ):
        assert words in said, words
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['answered'] == 2
    assert summary['lost'] == {'image that cannot be read': 2}

    (folder / 'broken.png').unlink()
    (folder / 'empty.jpg').unlink()
    status, said, _ = pourit('segment', folder, '--out', out, '--recursive', '--overwrite')
    assert status == 0
    assert stems(out) == ['a', 'b', 'sub/c']
    assert (out / 'sub' / 'c_mask.png').is_file()


def test_names_that_are_not_utf8(pourit, tmp_path, image):
    folder = tmp_path / 'in'
    folder.mkdir()
    write_image(folder / 'a.jpg', image)
    odd = os.fsdecode(b'caf\xe9')
    os.rename(folder / 'a.jpg', folder / f'{odd}.jpg')
    write_video(folder / 'v.avi', image)
    os.rename(folder / 'v.avi', folder / f'{odd}_v.avi')
    out = tmp_path / os.fsdecode(b'r\xe9sultat')
    status, said, _ = pourit('segment', folder, '--out', out)
    assert status == 0, said
    assert read_image(out / f'{odd}_mask.png').shape == (48, 64, 3)
    assert len(stems(out)) == 7
    status, _, err = pourit('segment', folder / f'{odd}.png', '--out', tmp_path / 'o')
    assert status == 2
    assert 'no such file' in err


def test_a_video_and_its_frames_do_not_mix(pourit, tmp_path, image):
    folder = tmp_path / 'in'
    folder.mkdir()
    write_video(folder / 'pour.avi', image)
    write_image(folder / 'pour_000000.png', image)
    status, _, err = pourit('segment', folder, '--out', tmp_path / 'out')
    assert status == 2
    assert 'pour_000000.png is named like a frame of' in err
    assert not (tmp_path / 'out').exists()


def test_a_video_that_ends_early(pourit, tmp_path, image):
    path = tmp_path / 'pour.avi'
    write_video(path, image, frames=40)
    # The frames end half-way; the header still says 40.
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read = sum(1 for _ in video_frames(path))
    status, _, err = pourit('segment', path, '--out', tmp_path / 'out')
    if read == 0:
        assert 'cannot be read as a video' in err
    else:
        assert f'{read} of 40 frames could be read' in err
    assert status == 1
    assert missing_frames(40, 39) == 0
    assert missing_frames(30, 16) == 14


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
def test_16_bit_images_are_read_by_what_they_hold(tmp_path, image, bits):
    deep = (image.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
    write_image(tmp_path / 'p.png', deep)
    read = read_image(tmp_path / 'p.png')
    assert read.dtype == np.uint8
    assert np.abs(read.astype(int) - image).max() <= 1


def test_an_image_too_large_for_opencv_is_one_line(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    size = struct.pack('>IIBBBBB', 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / 'p.png').write_bytes(
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size) + chunk(b'IDAT', b'') + chunk(b'IEND', b'')
    )
    with pytest.raises(InputError, match=r'p\.png: cannot be read as an image'):
        read_image(tmp_path / 'p.png')


def test_parts_of_scenes_are_no_images(tmp_path, image):
    scene = 'a_rgb.png a_depth.png a_mask.png a_cam.png 01_pos_rgb.jpg 01_neg_rgb.jpg'
    for name in [*scene.split(), '01_mask_air.png', '01_pos_depth.png', 'face_mask.png']:
        write_image(tmp_path / name, image)
    found = find_media([tmp_path])
    assert [item.stem for item in found.media] == [
        '01_neg_rgb', '01_pos_rgb', 'a_rgb', 'face_mask',
    ]  # fmt: skip
    assert found.skipped.total() == 5
    assert [item.stem for item in find_media([tmp_path / 'a_mask.png']).media] == ['a_mask']


def test_further_pages_of_a_tiff_are_counted(tmp_path, image):
    import tifffile

    tifffile.imwrite(tmp_path / 'p.tif', np.stack([image] * 3), photometric='rgb')
    assert find_media([tmp_path]).skipped == {'further pages of TIFF files': 2}


def test_a_video_gets_its_overlay_and_an_image_where_asked_for(pourit, tmp_path, image):
    write_video(tmp_path / 'clip.avi', image, frames=6)
    write_image(tmp_path / 'still.png', image)
    inputs = tmp_path / 'clip.avi', tmp_path / 'still.png'
    names = {
        'default': (['clip_overlay.mp4'], ()),
        'all': (['clip_overlay.mp4', 'still_overlay.jpg'], ('--overlay',)),
        'none': ([], ('--no-overlay',)),
    }
    for name, (wanted, options) in names.items():
        out = tmp_path / name
        assert pourit('segment', *inputs, '--out', out, *options)[0] == 0
        assert sorted(path.name for path in out.glob('*_overlay.*')) == wanted
    frames = list(video_frames(tmp_path / 'all' / 'clip_overlay.mp4'))
    assert len(frames) == 6
    assert frames[0].shape == image.shape
    assert frame_rate(tmp_path / 'all' / 'clip_overlay.mp4') == pytest.approx(10)
    drawn = read_image(tmp_path / 'all' / 'still_overlay.jpg')
    assert drawn.shape == image.shape
    # The lamp and the word in the corner.
    assert np.abs(drawn[:20].astype(int) - image[:20]).max() > 50


def test_overlays_of_several_videos_and_of_one_that_cannot_be_read(pourit, tmp_path, image):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a', 'b'):
        write_video(folder / f'{name}.avi', image, frames=3)
    (folder / 'broken.mp4').write_bytes(b'no video')
    out = tmp_path / 'out'
    status, _, err = pourit('segment', folder, '--out', out)
    assert status == 1
    assert 'broken.mp4' in err
    found = sorted(path.name for path in out.glob('*_overlay.mp4'))
    assert found == ['a_overlay.mp4', 'b_overlay.mp4']
    assert all(len(list(video_frames(out / name))) == 3 for name in found)
