/* Socket addresses as text: "127.0.0.1:8137", "[::1]:0", "localhost:8137", "*:8137". */
#ifndef TSD_BASE_ADDRESS_H
#define TSD_BASE_ADDRESS_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <sys/socket.h>

enum { TSD_ADDRESS_MAX = 160 }; /* bytes, with NUL; also of the path of a Unix socket */

/*
 * An address literal, or localhost (127.0.0.1); other names are not looked up. "*" and an empty host mean all
 * interfaces, like [::]. An IPv4 address written as IPv6 (::ffff:127.0.0.1) becomes IPv4. TS_EINVAL: anything else.
 */
int tsd_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len) TS_MUST_USE;
/* Writes IPv4 and IPv6 addresses, and "?" for others; IPv4 in the form of IPv6 as IPv4. text: TSD_ADDRESS_MAX bytes.
 * Returns text. */
const char *tsd_address_text(const struct sockaddr *address, char *text);
/* True also for addresses that are not IP. */
bool tsd_address_is_loopback(const struct sockaddr *address);
/* [::], whose socket receives IPv4 too. */
bool tsd_address_is_both_families(const struct sockaddr *address);
/* Whether two sockets of one protocol cannot be bound to these addresses, which have the same port other than 0. */
bool tsd_address_overlap(const struct sockaddr *a, const struct sockaddr *b);

#endif
