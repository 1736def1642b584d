/* See http.h. */
#include "ctl/http.h"

#include "ctl/args.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>

enum { CONNECT_SECONDS = 5, SILENCE_SECONDS = 60 };

int ctl_http_init(struct ctl_http *http, const char *socket, const char *url)
{
    *http = (struct ctl_http){.socket = socket, .url = url};
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return -1;
    http->curl = curl_easy_init();
    return http->curl ? 0 : -1;
}

void ctl_http_deinit(struct ctl_http *http)
{
    if (http->curl)
        curl_easy_cleanup(http->curl);
    http->curl = NULL;
    curl_global_cleanup();
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct ctl_text *body = data;
    size_t len = size * n;
    if (body->len + len > CTL_ANSWER_MAX)
        return 0; /* CURLE_WRITE_ERROR */
    ctl_text_append(body, bytes, len);
    return body->failed ? 0 : len;
}

static const char *advice(const struct ctl_http *http, CURLcode code, long os_error)
{
    if (http->socket && (os_error == EACCES || os_error == EPERM))
        return "may this user open it? Members of its group may, usually timesliced: usermod -aG timesliced USER";
    if (http->socket && os_error == ENOENT)
        return "is timesliced running, and is this its control.socket? (systemctl status timesliced; --socket PATH)";
    if (http->socket && os_error == ECONNREFUSED)
        return "the file is there, but no daemon listens on it: is timesliced running?";
    if (code == CURLE_OPERATION_TIMEDOUT)
        return "it does not answer in time";
    if (code == CURLE_COULDNT_CONNECT && !http->socket)
        return "is timesliced running, with control.http set to this address?";
    return NULL;
}

static int explain(const struct ctl_http *http, CURLcode code, const struct ctl_text *body, const char *detail,
                   struct ctl_text *problem)
{
    const char *where = http->socket ? http->socket : http->url;
    if (body->failed || code == CURLE_OUT_OF_MEMORY) {
        ctl_text_puts(problem, "out of memory for the answer; ask for less (--top, --from, --to)");
        return CTL_REFUSED;
    }
    if (code == CURLE_WRITE_ERROR) {
        ctl_text_printf(problem, "the answer is over %d MiB; ask for less (--top, --from, --to, --time-slice)",
                        CTL_ANSWER_MAX >> 20);
        return CTL_REFUSED;
    }
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        ctl_text_printf(problem, "--url: %s is not an address such as http://127.0.0.1:8138", where);
        return CTL_USAGE;
    }
    long os_error = 0;
    curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &os_error);
    bool local = http->socket && code == CURLE_COULDNT_CONNECT && os_error;
    const char *reason = local ? strerror((int)os_error) : *detail ? detail : curl_easy_strerror(code);
    const char *hint = advice(http, code, os_error);
    ctl_text_printf(problem, "no daemon reached at %s: %s%s%s", where, reason, hint ? "\n  " : "", hint ? hint : "");
    return CTL_UNREACHABLE;
}

int ctl_http_request(struct ctl_http *http, const char *method, const char *path, const char *query,
                     struct ctl_text *body, long *ret_status, struct ctl_text *problem)
{
    CURL *curl = http->curl;
    struct ctl_text address = {0};
    char detail[CURL_ERROR_SIZE] = "";

    if (http->socket && strlen(http->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        ctl_text_printf(problem, "no daemon reached at %s: a socket's path has at most %zu bytes", http->socket,
                        sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
        return CTL_UNREACHABLE;
    }
    const char *base = http->socket ? "http://localhost" : http->url;
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    ctl_text_append(&address, base, len);
    ctl_text_printf(&address, "%s%s%s", path, *query ? "?" : "", query);

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, ctl_text_str(&address));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_DEFAULT_PROTOCOL, "http");
    if (http->socket) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, http->socket);
        curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* $http_proxy has no say over a local socket */
    }
    if (!strcmp(method, "POST")) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L); /* a long answer is fine, silence is not */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);

    ctl_text_reset(body);
    CURLcode code = address.failed ? CURLE_OUT_OF_MEMORY : curl_easy_perform(curl);
    int rc = 0;
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    else
        rc = explain(http, code, body, detail, problem);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    ctl_text_deinit(&address);
    return rc;
}
