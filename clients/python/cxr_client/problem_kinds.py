"""The kinds of problem that the server answers with.

`python -m tests.support.client_source` writes this file.
"""

from cxr_client.problem import Problem


class UploadProblem(Problem):
    """The request's body can't be read."""


class UploadTooLarge(UploadProblem):
    """More bytes than allowed, counted while they arrive."""


class UnsupportedMediaType(UploadProblem):
    """Neither a form nor an image content type."""


class MalformedForm(UploadProblem):
    """Multipart that can't be parsed."""


class UploadInterrupted(UploadProblem):
    """The client disconnected; the answer reaches nobody."""


class SlowUpload(UploadProblem):
    """The body was not complete in the time allowed."""


class MissingFile(UploadProblem):
    """A form without a file in the field `file`."""


class EmptyUpload(UploadProblem):
    """No bytes."""


class BadArchive(UploadProblem):
    """A zip file that is corrupt, encrypted, or holds no film."""


class ArchiveTooLarge(UploadProblem):
    """More members, or more bytes once unpacked, than allowed."""


class FilmProblem(Problem):
    """The upload is no film that can be examined."""


class NotAnImage(FilmProblem):
    """Neither PNG, JPEG, TIFF nor DICOM, whatever its content type says."""


class FilmTooLarge(FilmProblem):
    """More pixels than allowed."""


class UnreadableFilm(FilmProblem):
    """Truncated, corrupt, or encoded in a way that can't be decoded here."""


class UnsupportedFilm(FilmProblem):
    """Readable, but not one grey film."""


class NoSourceInstance(FilmProblem):
    """DICOM results refer to a DICOM film by UIDs; this film has none."""


class FilmRefused(FilmProblem):
    """Unlike the training films: there is an answer as JSON, but no overlay."""


class QuestionProblem(Problem):
    """The question about the film makes no sense."""


class MalformedMask(QuestionProblem):
    """The mask is no rectangle, or lies outside the film."""


class UnknownParameter(QuestionProblem):
    """The path takes no query parameter of that name."""


class SideWithoutPicture(QuestionProblem):
    """Only a picture can be made smaller; raw pixels are sent as they are."""


class ModelProblem(Problem):
    """The models here can't answer what was asked."""


class UnknownModel(ModelProblem):
    """No model here has that name."""


class NoMap(ModelProblem):
    """The ensemble of the models has no map of its own."""


class UnknownClass(ModelProblem):
    """The model has no class of that name."""


class NotAcceptable(ModelProblem):
    """The answer exists in none of the media types asked for."""


class MalformedTensor(ModelProblem):
    """The tensors of a v2 request are not those that the model takes."""


class UnsoundModel(ModelProblem):
    """The model fails the checks that come before its first answer."""


class ModelNotReady(ModelProblem):
    """The model failed its checks, says `/v2/models/NAME/ready`; the protocol asks for a 4xx."""


class ReloadRefused(ModelProblem):
    """The file on disk fails its checks; the model loaded before goes on answering."""


class Unavailable(Problem):
    """Not now; the same request may succeed later."""


class NotReady(Unavailable):
    """The models are not loaded."""


class Overloaded(Unavailable):
    """As many films as allowed are waiting already; this one was not read."""


class TooSlow(Unavailable):
    """The film was not answered within the time allowed."""


class AuditUnavailable(Unavailable):
    """The answer can't be written to the audit trail, so it is not given."""


class AccessProblem(Problem):
    """The client may not ask this."""


class MissingKey(AccessProblem):
    """No API key was sent."""


class UnknownKey(AccessProblem):
    """The API key that was sent is not in the server's file."""


class NotAllowed(AccessProblem):
    """The key is not an admin's."""


class TooManyRequests(AccessProblem):
    """The key has used up its requests for the moment."""


class UnknownHost(AccessProblem):
    """The name in `Host` is none of the server's, which asks for no API key."""


class CrossSite(AccessProblem):
    """A page of another site would change something on a server that asks for no API key."""


class AuditOff(AccessProblem):
    """The server keeps no audit trail."""
