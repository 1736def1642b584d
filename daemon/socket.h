/* Shared by the modules that open sockets. */
#ifndef TSD_SOCKET_H
#define TSD_SOCKET_H

enum { TSD_BACKLOG = 512 }; /* of listen(2) */

struct tsd_socket_error {
    char message[512];
};

#endif
