/* vdierror.h: the result codes of the calls in vdi.h, and the completion codes a client gives.
 *
 * Every call gives an int: 0 when it succeeded, else one of the negative codes below. The numbers
 * are those of Microsoft's Virtual Device Interface; the text is our own. */
#ifndef SQLVDI_VDIERROR_H
#define SQLVDI_VDIERROR_H

#define VD_E_NOTOPEN ((int)0x80770002)       /* the object is not open */
#define VD_E_TIMEOUT ((int)0x80770003)       /* nothing came in time; call again */
#define VD_E_ABORT ((int)0x80770004)         /* the set is aborted: only Close is left */
#define VD_E_SECURITY ((int)0x80770005)      /* no place to meet in that can be trusted */
#define VD_E_INVALID ((int)0x80770006)       /* a bad parameter */
#define VD_E_INSTANCE_NAME ((int)0x80770007) /* no such instance; never given on Linux */
#define VD_E_NOTSUPPORTED ((int)0x80770009)  /* a configuration outside the rules */
#define VD_E_MEMORY ((int)0x8077000A)        /* not enough memory */
#define VD_E_UNEXPECTED ((int)0x8077000B)    /* the system refused something */
#define VD_E_PROTOCOL ((int)0x8077000C)      /* not callable in this state, or the name is taken */
#define VD_E_OPEN ((int)0x8077000D)          /* all devices are open; or some still were at Close */
#define VD_E_CLOSE ((int)0x8077000E)         /* the server closed the device: the normal end */
#define VD_E_BUSY ((int)0x8077000F)          /* another thread is in this call */

/* Completion codes, with the numbers of Win32. A client may give any other number of Win32's. */
#define ERROR_SUCCESS 0
#define ERROR_ARENA_TRASHED 7
#define ERROR_HANDLE_EOF 38
#define ERROR_HANDLE_DISK_FULL 39
#define ERROR_NOT_SUPPORTED 50
#define ERROR_DISK_FULL 112
#define ERROR_OPERATION_ABORTED 995

#endif
