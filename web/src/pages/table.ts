// Every page: its address, whose it is, and where its code lies. A page's code is loaded when it is first opened.
// A new page is a row here, its texts in src/text, and a default export that takes `PageProps`.

import type { ComponentType } from "preact";
import type { Role } from "../api/types";
import type { Key } from "../text";
import type { IconName } from "../ui/marks";

export interface PageProps {
  params: Record<string, string>;
}

export interface PageEntry {
  /** The first is the one that is linked to; `:name` and a last `*` are handed to the page. */
  paths: readonly string[];
  title: Key;
  icon: IconName;
  roles: readonly Role[];
  /** Not in the navigation. */
  hidden?: boolean;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
}

export const PAGES: readonly PageEntry[] = [
  {
    paths: ["/desk", "/desk/:alarm"],
    title: "nav.desk",
    icon: "desk",
    roles: ["operator", "supervisor", "officer"],
    load: () => import("../desk/page"),
  },
  {
    paths: ["/map", "/map/*"],
    title: "nav.map",
    icon: "map",
    roles: ["operator", "supervisor", "officer"],
    load: () => import("../map/page"),
  },
  {
    paths: ["/cameras", "/cameras/*"],
    title: "nav.cameras",
    icon: "camera",
    roles: ["operator", "supervisor", "officer", "approver", "technician", "admin"],
    load: () => import("../cameras/page"),
  },
  {
    paths: ["/replay", "/replay/*"],
    title: "nav.replay",
    icon: "replay",
    roles: ["operator", "supervisor", "officer", "approver"],
    load: () => import("../replay/page"),
  },
  {
    paths: ["/search"],
    title: "nav.search",
    icon: "search",
    roles: ["operator", "supervisor", "officer", "approver"],
    load: () => import("../search/page"),
  },
  {
    paths: ["/ebikes", "/ebikes/:case"],
    title: "nav.ebikes",
    icon: "bike",
    roles: ["operator", "supervisor", "officer"],
    load: () => import("../ebike/page"),
  },
  {
    paths: ["/taxi", "/taxi/:device"],
    title: "nav.taxi",
    icon: "taxi",
    roles: ["operator", "supervisor", "officer"],
    hidden: true,
    load: () => import("../taxi/page"),
  },
  {
    paths: ["/desk/:alarm/report"],
    title: "nav.incident",
    icon: "report",
    roles: ["operator", "supervisor", "officer", "approver"],
    hidden: true,
    load: () => import("../incident/page"),
  },
  {
    paths: ["/supervisor"],
    title: "nav.supervisor",
    icon: "shift",
    roles: ["supervisor"],
    load: () => import("../supervisor/page"),
  },
  {
    paths: ["/approvals"],
    title: "nav.approvals",
    icon: "approve",
    roles: ["approver", "supervisor", "operator", "officer"],
    load: () => import("../approvals/page"),
  },
  {
    paths: ["/audit"],
    title: "nav.audit",
    icon: "audit",
    roles: ["auditor"],
    load: () => import("../audit/page"),
  },
  {
    paths: ["/technician", "/technician/*"],
    title: "nav.technician",
    icon: "phone",
    roles: ["technician", "supervisor", "admin"],
    load: () => import("../technician/page"),
  },
  {
    paths: ["/system"],
    title: "nav.system",
    icon: "system",
    roles: ["admin", "supervisor", "technician"],
    load: () => import("../system/page"),
  },
  {
    paths: ["/accounts"],
    title: "nav.accounts",
    icon: "people",
    roles: ["admin"],
    load: () => import("../accounts/page"),
  },
  {
    paths: ["/account"],
    title: "nav.account",
    icon: "person",
    roles: ["operator", "supervisor", "officer", "approver", "technician", "auditor", "admin"],
    hidden: true,
    load: () => import("./account"),
  },
];
