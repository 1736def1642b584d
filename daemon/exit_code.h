/*
 * Exit codes other than EXIT_SUCCESS and EXIT_FAILURE. The rule: TSD_EX_CONFIG if somebody must repair something before
 * a start can succeed: configuration, folders, permissions, the database. EXIT_FAILURE for what may pass by itself: an
 * address in use, a full disk, too little memory. A database held by another daemon is TSD_EX_CONFIG: two daemons are
 * configured to use one file.
 */
#ifndef TSD_EXIT_CODE_H
#define TSD_EXIT_CODE_H

enum {
    TSD_EX_USAGE = 2,
    TSD_EX_CONFIG = 78 /* of sysexits.h */
};

#endif
