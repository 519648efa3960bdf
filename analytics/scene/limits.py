"""Thresholds of the scene core, units in their names, and how each was found. It computes nothing.

Levels are luma levels, 0..255, of the picture averaged 2 by 2. `_px` are pixels of the thumbnail.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SceneLimits:
    """What motion and health go by.

    Of motion and lighting: `tuned` means on the car park clip alone; `reasoned`: no clip decided it. Of health: focus and
    direction were fitted to the two tamper clips, with what the three clean clips reach in view, so those clips are no proof
    of them beyond themselves; the others are reasoned and shown on drawn pictures.
    """

    #: A pixel has changed above this, at sensitivity 0.5. Tuned: while the car park is empty nothing lies above it but one flicker
    #: at 12.5 s; the cars do with most of their pixels.
    change_levels: float = 14.0
    #: At sensitivity 1 `change_levels` and `min_motion_px` are divided by this, towards 0 multiplied; 0 itself is blind. Reasoned.
    sensitivity_span: float = 2.5
    #: So many changed pixels are motion, at sensitivity 0.5. Tuned: the car park's flicker has 20, a car has 60 to 100 in the
    #: first two pictures that show it. (A person 60 px high at 1080p is about 24.)
    min_motion_px: int = 24
    #: A changed pixel counts with so many changed of the 9 around it, itself one. Tuned: with 2 the flicker has 28.
    min_neighbours: int = 3
    #: A pixel in motion differs from the picture of this to twice this ago too: what stands is no motion, nor is the place it
    #: left. Reasoned.
    recent_s: float = 0.5
    #: The background follows the picture at this rate. Reasoned: a bus that passes within 2 s leaves no trace
    #: (2 s x 6 < change_levels), a stopped car of 100 levels is background after 17 s.
    follow_levels_per_s: float = 6.0
    #: … while it is learnt, and for `lighting_hold_s` after a lighting change. Reasoned: any picture in 4 s.
    follow_fast_levels_per_s: float = 60.0
    lighting_hold_s: float = 1.5
    #: A pixel's own noise (twigs, water) raises its threshold by up to this. Reasoned: as much as change_levels times 3.
    max_noise_levels: int = 40
    #: … and in one picture by so much at most, below `change_levels`: where pictures are seconds apart, what was in one of them
    #: leaves no trace.
    follow_max_levels: int = 12
    #: No motion is told before the background is so old, and of so many pictures.
    learn_s: float = 1.0
    learn_pictures: int = 3
    #: Motion that lasts so long is an event (0.2 s: two frames at 10 fps, and one where frames are farther apart).
    start_after_s: float = 0.2
    #: The event ends after so long without. Reasoned.
    quiet_after_s: float = 1.5
    #: Without motion for so long, the scene is still.
    still_after_s: float = 30.0

    #: Lighting: at least this share of the picture is off by more than `lighting_levels`, and one gain and offset of the
    #: background explains this share to within `lighting_fit_levels`. Tuned: the car park's cars cover up to 0.2 of it
    #: while its exposure moves all of it.
    lighting_share: float = 0.4
    lighting_levels: int = 5
    lighting_fit_share: float = 0.6
    lighting_fit_levels: float = 6.0
    #: … or the edges of the background (steeper than this) keep their sign in this share of at least so many places. Reasoned.
    edge_levels: int = 8
    edge_keep_share: float = 0.8
    edge_min_count: int = 150
    #: Gains outside 1/this..this are not believed.
    max_gain: float = 4.0

    #: A smear: this share of the rows has turned flat (each pixel as the one above, for this share of the row) that was
    #: not in the background. Reasoned: FFmpeg's concealment repeats rows or leaves one grey.
    #: Looked for where at least so much of the picture is in motion.
    smear_min_share: float = 0.05
    smear_row_share: float = 0.1
    smear_pixel_share: float = 0.9

    #: A time between pictures above this or below 0 is a jump of the clock: the usual time between them counts instead.
    max_gap_s: float = 60.0

    #: How often the health of a camera is judged; and while its reference is learnt, or when something looks wrong.
    health_every_s: float = 1.0
    suspect_every_s: float = 0.5
    #: The reference of a view is learnt for so long, from so many samples, then follows with this time constant. The warm-up is
    #: as short as the tamper clips ask (tampering begins after 1.1 s); the time constant lets the sun move and no hand.
    reference_s: float = 1.0
    reference_samples: int = 3
    reference_follow_s: float = 120.0
    #: A tampered view that stays so long is the new view.
    accept_after_s: float = 900.0
    #: Cells (6 by 6 px) are textured at or above this mean of the positive Laplacian. Reasoned: it makes 0.6 to 0.7 of the cells of the two tamper
    #: clips textured and 0.04 of the car park's.
    texture_levels: float = 3.0
    #: With fewer textured cells in the reference (share of the judged ones) nothing is said of the view.
    min_textured_share: float = 0.03
    #: A textured cell has lost its detail below this ratio to the reference (0.45 squared is a fifth in variance).
    detail_lost_ratio: float = 0.45
    #: A cell's mean has changed by more than this after gain and offset.
    cell_changed_levels: float = 16.0
    #: … and has become soft below this.
    detail_soft_ratio: float = 0.7
    #: Gains of a view outside 1/this..this are not believed.
    view_max_gain: float = 2.0
    #: Below this correlation of the means two views are not the same one in another light.
    same_view_alike: float = 0.7
    #: Focus and direction are judged where this share of the cells is textured. The car park has 0.04: a car that drives over
    #: its lane marks takes them all.
    rich_textured_share: float = 0.08
    #: Defocused: so many textured cells became soft, this little is left of all detail, while at most so many means changed and
    #: so few cells gained detail.
    defocus_soft_share: float = 0.7
    defocus_detail_ratio: float = 0.65
    defocus_changed_share: float = 0.25
    defocus_gained_share: float = 0.15
    #: Covered: so many lost their detail, so few gained some, this little is left of all detail (a sensor's noise is), and
    #: light and shade are this little like the reference (a room whose lamps went out is like it). Reasoned: no clip has it.
    covered_lost_share: float = 0.85
    covered_gained_share: float = 0.1
    covered_detail_ratio: float = 0.45
    covered_alike: float = 0.6
    #: Moved: so many lost their detail, so many means changed, light and shade are this little like the reference, and this
    #: much is left of all detail.
    moved_lost_share: float = 0.25
    moved_changed_share: float = 0.4
    moved_alike: float = 0.5
    moved_detail_ratio: float = 0.3
    #: Black: no cell is brighter than this.
    black_levels: float = 32.0
    #: Frozen: bit for bit the same for so long, over so many samples, and so many keyframe gaps.
    frozen_after_s: float = 10.0
    frozen_samples: int = 4
    frozen_keyframe_gaps: float = 2.5
    #: Corrupted: this share of the stream's pictures is damaged.
    max_corrupt_share: float = 0.05
    #: Low: below these shares of what is normal for the camera, which is learnt for so long; or below these floors (0: none).
    low_fps_share: float = 0.5
    low_bitrate_share: float = 0.05
    normal_learn_s: float = 30.0
    normal_rise_s: float = 60.0
    normal_fall_s: float = 3_600.0
    min_fps: float = 0.0
    min_bitrate_kbps: float = 8.0
    max_keyframe_gap_s: float = 12.0
    #: A condition of the picture holds so long before it is said; of the stream; and is gone so long before that is said.
    #: 2 s: what the tamper clips leave after the lens is soft (2.7 s) or the camera stands (2.4 s).
    picture_hold_s: float = 2.0
    stream_hold_s: float = 5.0
    clear_after_s: float = 3.0
