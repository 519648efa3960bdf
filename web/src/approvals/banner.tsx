// Somebody read what is wide without another's approval: whoever has to review it is told on every page, until it is done.

import { place } from "../router";
import { approvalCounts } from "../state/approvals";
import { t } from "../text";

export function GlassBanner() {
  const { unreviewed, overdue } = approvalCounts.value;
  if (!unreviewed || place.value.path === "/approvals") return null;
  return (
    <div class="glass-banner" role="alert" data-unreviewed={unreviewed}>
      <span>
        {t("approvals.banner", { n: unreviewed })} {overdue > 0 && t("approvals.bannerOverdue", { n: overdue })}
      </span>
      <a href="/approvals">{t("approvals.bannerGo")}</a>
    </div>
  );
}
