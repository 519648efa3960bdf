"""What can be audited: every action's name, in both languages. A name is permanent, it stands in stored rows."""

from __future__ import annotations

from model.codes import Word

AUDIT_ACTIONS: dict[str, Word] = {
    "series.track": Word("read the track of a device", "查阅设备轨迹"),
    "series.fleet": Word("read the points of many devices", "查阅多台设备的定位"),
    "series.latest": Word("read where devices are", "查阅设备当前位置"),
    "series.numbers": Word("read a numeric series", "查阅数值序列"),
    "read.signals": Word("read signals", "查阅信号"),
    "quarantine.list": Word("listed quarantined data", "列出隔离数据"),
    "quarantine.show": Word("read a quarantined payload", "查阅隔离报文"),
    "read.audit": Word("read the audit", "查阅审计记录"),
    "read.refused": Word("was refused a read", "查阅被拒绝"),
    "audit.verify": Word("verified the audit", "校验审计链"),
    "device.add": Word("registered a device", "登记设备"),
    "device.change": Word("changed a device", "修改设备"),
    "device.enable": Word("enabled a device", "启用设备"),
    "device.disable": Word("disabled a device", "停用设备"),
    "device.import": Word("imported devices", "批量导入设备"),
    "device.secret": Word("read or set a secret of a device", "读取或设置设备密钥"),
    "credential.new": Word("gave a device a password", "为设备发放口令"),
    "credential.revoke": Word("revoked a device's password", "撤销设备口令"),
    "site.add": Word("added a site", "新增场所"),
    "site.change": Word("changed a site", "修改场所"),
    "area.import": Word("imported areas", "导入辖区"),
    "broker.files": Word("wrote the broker's password and access files", "生成消息服务器口令与权限文件"),
    "ingest.file": Word("took a file in", "导入文件"),
    "store.retain": Word("deleted what is past its retention", "清除超出保存期的数据"),
    "store.check": Word("checked the store", "检查存储"),
    "service.start": Word("started the service", "启动服务"),
    "service.stop": Word("stopped the service", "停止服务"),
}
