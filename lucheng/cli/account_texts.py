"""Texts of the console's address, of the first set-up and of accounts."""

from __future__ import annotations

from model.codes import Word

ACCOUNT_TEXTS: dict[str, Word] = {
    "console.address": Word("console: {url}", "控制台：{url}"),
    "console.setup": Word(
        "console: nobody can sign in yet. Make the first administrator there with this one-time token: {token}",
        "控制台：尚无账号。请在网页中用此一次性令牌创建首个管理员：{token}",
    ),
    "demo.people": Word(
        "sign in as {users}; password, made for this demo: {password}",
        "登录账号：{users}；本次演示专用密码：{password}",
    ),
    "account": Word("People who sign in to the console.", "控制台登录账号。"),
    "account.list": Word("List accounts.", "列出账号。"),
    "account.add": Word(
        "Make an account; its password is made, or read from a file, and told once.",
        "新建账号；密码自动生成或自文件读取，仅显示一次。",
    ),
    "account.role": Word("Give an account another role; its sessions end.", "变更账号角色，并结束其会话。"),
    "account.password": Word("Set the password of somebody who lost it; his sessions end.", "重设密码，并结束其会话。"),
    "account.disable": Word("Let somebody sign in no more; his sessions end.", "停用账号，并结束其会话。"),
    "account.enable": Word("Let him sign in again, and forget his wrong passwords.", "启用账号，并清除密码错误记录。"),
    "account.setup_token": Word(
        "Print the one-time token for the first administrator.", "显示创建首个管理员的一次性令牌。"
    ),
    "account.user": Word(
        "The name that stands in the audit: a-z 0-9 _ and inner . @ -", "登录名（用于审计）：a-z 0-9 _ 及中间的 . @ -"
    ),
    "account.role_option": Word(
        "operator, supervisor, officer, approver, technician, auditor or admin.",
        "operator、supervisor、officer、approver、technician、auditor 或 admin。",
    ),
    "account.name": Word("What people call him.", "姓名。"),
    "account.language": Word("Of his pages: zh or en; empty: the browser's.", "网页语言：zh 或 en；留空随浏览器。"),
    "account.password_file": Word(
        "Read the password from the first line of this file; - is standard input. Without it one is made.",
        "自此文件首行读取密码，- 为标准输入；缺省则自动生成。",
    ),
    "account.made_password": Word(
        "password of {user}, told once: {password}", "{user} 的密码（仅显示一次）：{password}"
    ),
    "account.done": Word("{user}: {role}", "{user}：{role}"),
    "account.off": Word("{user} cannot sign in any more", "{user} 已停用"),
    "account.on": Word("{user} can sign in", "{user} 已启用"),
}
