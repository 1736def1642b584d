/*
 * The administrative commands: backup and regrid write a file (save.h), delete deletes data.
 *
 * delete --yes sends two requests: a dry run, which reports every error of the parameters, then the deletion. A
 * response is accepted only if its member "dry_run" matches the request.
 */
#ifndef CTL_ADMIN_H
#define CTL_ADMIN_H

#include "ctl/session.h"

/* 0, or an exit code with a message in session->problem. */
int ctl_admin(struct ctl_session *session);

#endif
