"""Texts of the commands that fit devices, in both languages; part of `lucheng.cli.texts`."""

from __future__ import annotations

from model.codes import Word

INSTALL_TEXTS: dict[str, Word] = {
    "device.register": Word(
        "Register a device where it is fitted and open its live test for 30 minutes.",
        "现场登记设备，并开启 30 分钟现场测试。",
    ),
    "device.check": Word(
        "How far its live test is: first report, fix, button, camera picture.",
        "现场测试进展：首次上报、定位、按钮、摄像头画面。",
    ),
    "device.press": Word(
        "Say that its button is about to be pressed: the desk shows the press as a test.",
        "声明即将按下按钮：接警台将其显示为测试。",
    ),
    "device.confirm": Word(
        "Say that the press was one's own: its alarm is closed as a test.", "确认按钮为本人所按：警情按测试结案。"
    ),
    "device.picture": Word("Let its camera take a picture now.", "让其摄像头现在取一张画面。"),
    "device.finish": Word("End the installation.", "结束安装。"),
    "device.open": Word(
        "Open the installation of a registered device for 30 minutes.", "为已登记设备开启 30 分钟安装。"
    ),
    "device.change": Word("Change what is registered of a device, and bind it.", "修改设备登记内容与绑定。"),
    "device.swap": Word(
        "Put another device in its place; plate, owner, site and cameras go over.",
        "更换设备：车牌、车主、场所与摄像头随之转移。",
    ),
    "device.retire": Word("Take a device out of use, with a reason.", "报废设备并说明原因。"),
    "device.history": Word("What was done to a device, newest first.", "设备变更历史，最新在前。"),
    "device.photo": Word("Photos of installations.", "安装照片。"),
    "device.photo.add": Word(
        "Keep a photo (JPEG or PNG), without anything but the picture.", "保存照片（JPEG 或 PNG），仅保留画面。"
    ),
    "device.photo.list": Word("Which photos there are of a device.", "设备的照片列表。"),
    "device.photo.get": Word("Save a photo to a file.", "将照片保存为文件。"),
    "install.id": Word(
        "Id of the device; without one it is made of the IMEI or number.", "设备编号；不填则由 IMEI 或号码生成。"
    ),
    "install.imei": Word("IMEI; its check digit is looked at.", "IMEI，检查校验位。"),
    "install.as_labelled": Word(
        "The label really reads so, whatever the check digit says.", "标签确实如此，不检查校验位。"
    ),
    "install.number": Word("Number of its SIM card, or what it calls itself.", "SIM 卡号或终端号。"),
    "install.camera": Word("A camera bound to it; may be given several times.", "绑定的摄像头，可多次给出。"),
    "install.accuracy": Word("How far off the place may be, metres.", "位置精度，米。"),
    "install.reason": Word("Why.", "原因。"),
    "install.version": Word(
        "Only if it is still of this version (`device show` says it).", "仅当仍为此版本时执行（见 `device show`）。"
    ),
    "install.skip": Word(
        "A step that it has not: report, fix, button or picture.", "略过的步骤：report、fix、button 或 picture。"
    ),
    "install.note": Word("Why steps are left out.", "略过的原因。"),
    "install.for": Word("The technician who installs it; without one whoever asks.", "安装技师；不填则为本人。"),
    "install.new": Word(
        "Id of the new device; without one the id stays and the track goes on.",
        "新设备编号；不填则沿用编号，轨迹连续。",
    ),
    "install.photo": Word("Id of the photo, from the list.", "照片编号，见列表。"),
    "install.out": Word("File to make; - is standard output.", "输出文件；- 为标准输出。"),
    "install.swapped": Word("{device} is swapped for {new}.", "{device} 已更换为 {new}。"),
    "install.retired": Word("{device} is retired.", "{device} 已报废。"),
    "install.waiting": Word(
        "The press came in as {alarm}: say until {until} that it was you (`device confirm`), or it is taken for real.",
        "按钮报警 {alarm} 已收到：请在 {until} 前确认（`device confirm`），否则按真实警情处理。",
    ),
    "install.off": Word("{metres} m from where its installer stood.", "距安装者位置 {metres} 米。"),
}
