/* Addresses as the configuration has them, "127.0.0.1:8137", "[::1]:0", "localhost:8137": parsed, and put into words.
 */
#ifndef TSD_BASE_ADDRESS_H
#define TSD_BASE_ADDRESS_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <sys/socket.h>

enum { TSD_ADDRESS_MAX = 160 };

/* No name is looked up: an address literal, or localhost (127.0.0.1). TS_EINVAL where it is not of that form. */
int tsd_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len) TS_MUST_USE;
/* IPv4 and IPv6, "?" for others. At least TSD_ADDRESS_MAX bytes of room. Returns text. */
const char *tsd_address_text(const struct sockaddr *address, char *text);
bool tsd_address_is_loopback(const struct sockaddr *address);

#endif
